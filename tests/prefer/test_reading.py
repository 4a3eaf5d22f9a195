"""From a file to pairs: templates, limits, problems by row, splits."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError, MissingFileError, ModelError
from burnish.models.load import Model
from burnish.prefer import reading as reading_module
from burnish.prefer.pairs import Pair
from burnish.prefer.reading import make_pairs, read_pairs, split_pairs
from burnish.prefer.settings import PairSettings

ROW = {"prompt": "Which colour?", "chosen": "Blue.", "rejected": "I do not know."}


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_tokens_are_those_of_the_template(tiny_model: Any, tmp_path: Path) -> None:
    model = tiny_model()
    found = read_pairs(written(tmp_path / "p.jsonl", [ROW]), model)
    (pair,) = found.pairs
    text = model.tokenizer.decode(list(pair.prompt))
    assert text == "<|im_start|>user\nWhich colour?<|im_end|>\n<|im_start|>assistant\n"
    assert model.tokenizer.decode(list(pair.chosen)) == "Blue.<|im_end|>"
    assert model.tokenizer.decode(list(pair.rejected)) == "I do not know.<|im_end|>"
    assert (pair.row, pair.cut) == (1, (False, False))
    assert (found.num_truncated, found.num_without_end, found.problems) == (0, 0, ())


def check_limit(model: Model, rows: list[dict[str, str]]) -> None:
    """The limit cuts first; lengths are counted after it; an end is lost, never faked."""
    whole = make_pairs(rows, model, PairSettings()).pairs[0]
    room = 9
    limit = PairSettings(max_length_tokens=len(whole.prompt) + room)
    found = make_pairs(rows, model, limit)
    (pair,) = found.pairs
    assert pair.chosen == whole.chosen  # 6 tokens
    assert pair.rejected == whole.rejected[:room]
    assert pair.cut == (False, True)
    assert (found.num_truncated, found.num_without_end) == (1, 1)
    assert pair.lengths == (len(whole.chosen), room)


def test_the_limit_cuts_before_lengths_are_counted(tiny_model: Any) -> None:
    check_limit(tiny_model(), [ROW])


def test_planted_false_end(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = reading_module._pair

    def ended(*given: Any) -> Pair:
        pair = exact(*given)
        fixed = [(*a[:-1], 2) if cut else a for a, cut in
                 zip((pair.chosen, pair.rejected), pair.cut, strict=True)]  # fmt: skip
        return replace(pair, chosen=fixed[0], rejected=fixed[1])

    monkeypatch.setattr(reading_module, "_pair", ended)
    with pytest.raises(AssertionError):
        check_limit(tiny_model(), [ROW])


def test_bad_rows_are_named(tiny_model: Any, tmp_path: Path) -> None:
    """Counted, named by row, left out; good rows keep their numbers."""
    rows: list[Any] = [
        ROW,
        ROW | {"chosen": ""},
        ROW | {"rejected": "Blue."},
        {"prompt": "x", "chosen": "y"},
        ROW | {"prompt": "w " * 60},
        ROW | {"chosen": float("nan")},
        ROW | {"prompt": "Why?"},
    ]
    settings = PairSettings(max_length_tokens=90)
    found = read_pairs(written(tmp_path / "p.jsonl", rows), tiny_model(), settings)
    assert [pair.row for pair in found.pairs] == [1, 7]
    assert [problem.row for problem in found.problems] == [2, 3, 4, 5, 6]
    said = [problem.problem for problem in found.problems]
    assert said[3] == "must have a prompt shorter than 90 tokens"
    assert "'rejected'" in said[2] and found.problems[4].got == "nan"


def test_answers_that_differ_only_past_the_limit(tiny_model: Any) -> None:
    row = {"prompt": "Why?", "chosen": "the same start, then this", "rejected": "the same start,"}
    prompt = make_pairs([row], tiny_model(), PairSettings()).pairs[0].prompt
    short = PairSettings(max_length_tokens=len(prompt) + 5)
    found = make_pairs([row], tiny_model(), short)
    assert not found.pairs
    assert "answers that differ in the first" in found.problems[0].problem


def test_a_tokenizer_without_an_end(tiny_folder: Any) -> None:
    from fixtures.training import fresh

    model = fresh(tiny_folder())
    model.tokenizer.eos_token = None
    with pytest.raises(ModelError, match="tokenizer has no end token"):
        make_pairs([ROW], model, PairSettings(template="plain"))
    with pytest.raises(ModelError, match="end turns with a special token"):
        make_pairs([ROW], model, PairSettings())
    model.tokenizer.sep_token = "<|im_end|>"
    bare = Model(**{**vars(model), "eos_ids": frozenset()})
    with pytest.raises(ModelError, match="tokenizer has no end token"):
        make_pairs([ROW], bare, PairSettings())


def test_files_that_are_none(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"pairs\.jsonl"):
        read_pairs(tmp_path / "pairs.jsonl", tiny_model())
    (tmp_path / "p.jsonl").write_text('{"prompt": 1}\nnonsense\n')
    with pytest.raises(InputError, match=r"p\.jsonl:2 must be JSON"):
        read_pairs(tmp_path / "p.jsonl", tiny_model())


def shared_prompts(pairs_of: Any) -> list[Pair]:
    pairs = pairs_of([(2 + i % 3, 5) for i in range(40)])
    return [replace(p, prompt=pairs[i // 4].prompt) for i, p in enumerate(pairs)]


def check_split(split: Any, pairs: list[Pair]) -> None:
    train, heldout = split(pairs, heldout_frac=0.2, seed=3)
    assert {p.prompt for p in train} & {p.prompt for p in heldout} == set()
    assert sorted(p.row for p in (*train, *heldout)) == [p.row for p in pairs]
    assert len(heldout) == 8
    assert split(pairs[::-1], heldout_frac=0.2, seed=3)[1] == heldout[::-1]  # order is nothing
    assert split(pairs, heldout_frac=0.2, seed=4)[1] != heldout


def test_splits_share_no_prompt(pairs_of: Any) -> None:
    check_split(split_pairs, shared_prompts(pairs_of))


def test_planted_split_by_rows(pairs_of: Any) -> None:
    with pytest.raises(AssertionError):
        check_split(lambda pairs, **_: (tuple(pairs[8:]), tuple(pairs[:8])),
                    shared_prompts(pairs_of)[::-1])  # fmt: skip


def test_too_few_pairs_to_split(pairs_of: Any) -> None:
    with pytest.raises(InputError, match="must leave one pair to train on"):
        split_pairs(pairs_of([(2, 3)] * 2), heldout_frac=0.1, seed=0)


def test_a_pair_without_tokens() -> None:
    with pytest.raises(InputError, match="row 8 must have a prompt and two answers"):
        Pair(row=8, prompt=(3,), chosen=(4,), rejected=())


def test_a_template_that_refuses_a_row_loses_that_row_only(tiny_model: Any) -> None:
    model = tiny_model()
    refusing = "{% if messages[0].content == 'no' %}{{ raise_exception('not that') }}{% endif %}"
    tokenizer = copy.copy(model.tokenizer)
    tokenizer.chat_template = refusing + str(model.tokenizer.chat_template)
    other = Model(**{**vars(model), "tokenizer": tokenizer})
    found = make_pairs([ROW, ROW | {"prompt": "no"}, ROW], other, PairSettings())
    assert [pair.row for pair in found.pairs] == [1, 3]
    (problem,) = found.problems
    assert problem.row == 2 and "not that" in problem.problem
