"""Self-distillation answers: complete, the same after a kill, and readable prompts."""

from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError
from burnish.base.records import RecordLog, write_records
from burnish.contracts.generation import Request, Sampling
from burnish.data.chat import render_prompt
from burnish.draft.distil import answer_prompts, read_prompts, read_texts
from burnish.engine.generate import generate

PROMPTS = ["one plus one", "two", "name a river", "two", "what is in the hat on the mat"]


def answered(model: Any, path: Path) -> list[Any]:
    return answer_prompts(model, PROMPTS, path, max_new_tokens=9, batch_size=2)


def test_answers_are_the_models_own(tiny_model: Any, tmp_path: Path) -> None:
    model = tiny_model("llama")
    found = answered(model, tmp_path / "a.jsonl")
    assert len(found) == 4  # each prompt once
    assert sorted(read_texts(tmp_path / "a.jsonl"), key=lambda t: t.id) == sorted(
        found, key=lambda t: t.id
    )
    prompt = tuple(render_prompt(model.tokenizer, PROMPTS[0]))
    request = Request(id="", prompt=prompt, sampling=Sampling(max_new_tokens=9))
    (greedy,) = generate(model, [request])
    assert found[0].prompt == prompt
    assert found[0].answer[: len(greedy.tokens)] == tuple(greedy.tokens)
    assert (found[0].answer[-1] in model.eos_ids) == (greedy.finish == "eos")


def test_resumed_equals_straight(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    straight = answered(model, tmp_path / "a.jsonl")
    append, kept = RecordLog.append, []

    def dies(self: RecordLog, row: Any) -> None:
        append(self, row)
        kept.append(row["id"])
        if len(kept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RecordLog, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        answered(model, tmp_path / "b.jsonl")
    assert answered(model, tmp_path / "b.jsonl") == straight
    assert len(kept) == len(set(kept)) == 4


def test_prompts_of_several_formats(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_records(path, [{"turns": ["a", "b"]}, {"question": "c"}, {"instruction": "d"}])
    assert read_prompts(path) == ["a", "c", "d"]
    write_records(path, [{"prompt": "a"}, {"other": "b"}])
    with pytest.raises(InputError, match=r"p\.jsonl:2 must contain a prompt, got \['other'\]"):
        read_prompts(path)
    path.write_text("")
    with pytest.raises(InputError, match="prompts must not be empty"):
        read_prompts(path)
