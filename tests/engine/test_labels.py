"""Labels against brute force: each prompt with each label as a whole text, one at a time."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import reference_logits, texts

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.engine import labels as labels_module
from burnish.engine.labels import LabelScores, score_labels
from burnish.engine.trie import Trie
from burnish.kv.shared import Forest
from burnish.models.load import Model

Score = Callable[..., LabelScores]
EXAMPLES = "abc is an animal. the tin is an object. "
PROMPTS = (
    EXAMPLES + "the hen is an",
    EXAMPLES + "the hen is an ",  # its space merges with the label's first letter
    EXAMPLES + "the hen is",
    EXAMPLES + "on the tin",
    "12",
    EXAMPLES + "the hen is an",  # again
)
LABELS = ("the", "the hen", "th", "animal", "animals", "1", "on")


def whole_text(reference: Any, before: Sequence[int], label: Sequence[int]) -> float:
    rows = reference_logits(reference, [*before, *label]).double().log_softmax(-1)
    start = len(before)
    return sum(float(rows[start + i - 1, token]) for i, token in enumerate(label))


def wanted(model: Model, reference: Any, prompt: str, end: str) -> list[float]:
    """From the tokens that all texts and the prompt alone begin with."""
    encode = model.tokenizer.encode
    every = [encode(prompt + label + end) for label in LABELS]
    columns = zip(encode(prompt), *every, strict=False)
    shared = len(list(itertools.takewhile(lambda column: len(set(column)) == 1, columns)))
    return [whole_text(reference, text[:shared], text[shared:]) for text in every]


def check_labels(
    score: Score, model: Model, reference: Any, *, end: str = "", **given: Any
) -> None:
    found = score(model, PROMPTS, LABELS, end=end, **given)
    assert found.labels == LABELS
    every = [wanted(model, reference, prompt, end) for prompt in PROMPTS]
    torch.testing.assert_close(found.logprobs, torch.tensor(every), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2-sliding", "gpt2", "mamba"])
def test_labels_equal_whole_texts(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    check_labels(score_labels, tiny_model(family), tiny_reference(family), end="\n")


@pytest.mark.parametrize("batch_rows", [1, 90])
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_passes_of_any_size_agree(
    family: str, batch_rows: int, tiny_model: Any, tiny_reference: Any
) -> None:
    check_labels(score_labels, tiny_model(family), tiny_reference(family), batch_rows=batch_rows)


def test_the_border_is_where_texts_part(tiny_model: Any) -> None:
    """A space that merges with some labels is scored with all of them."""
    model = tiny_model("llama")
    with_space = labels_module._question(model, PROMPTS[1], LABELS, "")
    encode = model.tokenizer.encode
    assert with_space.prompt == tuple(encode(PROMPTS[0]))
    assert [list(tokens) for tokens in with_space.labels] == [encode(f" {x}") for x in LABELS]
    with pytest.raises(SettingError, match="must have a token before the labels"):
        score_labels(model, ["1"], ["2"])  # "12" is one token


@pytest.mark.parametrize("labels", [LABELS, ("the hen", "the tin"), ("the hen",)])
@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_tokens_as_prompts(
    family: str, labels: Sequence[str], tiny_model: Any, tiny_reference: Any
) -> None:
    """Behind tokens, a label is what its text alone is; nothing merges."""
    model, reference, prompts = tiny_model(family), tiny_reference(family), texts([5, 9, 30])
    found = score_labels(model, [*prompts, prompts[0] + prompts[1]], labels)
    encode = model.tokenizer.encode
    for row, prompt in zip(found.logprobs, [*prompts, prompts[0] + prompts[1]], strict=True):
        every = [whole_text(reference, prompt, encode(label)) for label in labels]
        torch.testing.assert_close(row, torch.tensor(every), atol=1e-4, rtol=1e-5)
    assert found.num_tokens.tolist() == [[len(encode(label)) for label in labels]] * 4


def test_an_end_makes_a_label_no_beginning_of_another(tiny_model: Any) -> None:
    model = tiny_model("llama")
    loose, ended = (score_labels(model, PROMPTS, LABELS, end=end) for end in ("", "<|im_end|>"))
    short, long = LABELS.index("the"), LABELS.index("the hen")
    assert bool((loose.logprobs[0, short] > loose.logprobs[0, long]).all())
    assert bool((ended.logprobs < loose.logprobs).all())
    assert (ended.num_tokens - loose.num_tokens).unique().tolist() == [1]


def test_normalised_over_labels(tiny_model: Any) -> None:
    model = tiny_model("llama")
    plain, shares = (score_labels(model, PROMPTS, LABELS, normalised=n) for n in (False, True))
    torch.testing.assert_close(shares.logprobs.exp().sum(-1), torch.ones(len(PROMPTS)))
    gaps = plain.logprobs - shares.logprobs
    torch.testing.assert_close(gaps, gaps[:, :1].expand_as(gaps), atol=1e-4, rtol=1e-5)


def test_accounting(tiny_model: Any) -> None:
    """A token that texts begin with is a row once a pass; each distinct label token once."""
    model, meter = tiny_model("llama"), Meter()
    score_labels(model, PROMPTS, LABELS, meter=meter)
    questions = {labels_module._question(model, prompt, LABELS, "") for prompt in PROMPTS}
    inner = {q.prompt[:n] for q in questions for n in range(1, len(q.prompt))}
    totals = meter.totals()
    assert totals["prefilled"] == len(inner) + len(questions)  # a prompt's last row is its own
    assert totals["scored"] == sum(
        len({label[: n + 1] for label in q.labels for n in range(len(label))}) for q in questions
    )
    assert totals["passes"] == 1
    apart = Meter()
    score_labels(tiny_model("mamba"), PROMPTS, LABELS, meter=apart)
    assert apart.totals()["prefilled"] == sum(len(q.prompt) for q in questions)
    assert apart.totals()["scored"] == totals["scored"]


def test_passes_hold_no_more_rows_than_asked(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched(self: Forest, decoder: Any) -> Any:
        sizes.append(len(self))
        return exact(self, decoder)

    exact, sizes, model = Forest.run, list[int](), tiny_model("llama")
    monkeypatch.setattr(Forest, "run", watched)
    for batch_rows in (80, 90, 100):
        sizes.clear()
        score_labels(model, PROMPTS, LABELS, batch_rows=batch_rows)
        assert max(sizes) <= batch_rows
        assert len(sizes) > 1
    sizes.clear()
    score_labels(model, PROMPTS, LABELS)
    (whole,) = sizes
    for batch_rows, passes in ((whole, 1), (whole - 1, 2)):
        sizes.clear()
        score_labels(model, PROMPTS, LABELS, batch_rows=batch_rows)
        assert len(sizes) == passes


@pytest.mark.parametrize(
    ("prompts", "labels", "says"),
    [
        (["a"], [], "labels must be distinct texts"),
        (["a"], ["b", ""], "labels must be distinct texts"),
        (["a"], ["b", "c", "b"], r"must be distinct texts, got \['b'\]"),
        ([""], ["b"], "must have a token before the labels"),
        ([[]], ["b"], "must have a token before the labels"),
        (["a a a a a a"], ["b b b b"], "must fit the model's window of 10 tokens, got"),
    ],
)
def test_refusals(prompts: Any, labels: Any, says: str, tiny_model: Any) -> None:
    import dataclasses

    model = dataclasses.replace(tiny_model("llama"), max_position=10)
    with pytest.raises(SettingError, match=says):
        score_labels(model, prompts, labels)
    with pytest.raises(SettingError, match="batch_rows"):
        score_labels(model, ["a"], ["b"], batch_rows=0)
    assert score_labels(model, [], ["b"]).logprobs.shape == (0, 1)


def expect_red(tiny_model: Any, tiny_reference: Any, family: str = "llama") -> None:
    with pytest.raises(AssertionError):
        check_labels(score_labels, tiny_model(family), tiny_reference(family))


def test_planted_label_rows_one_early(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def early(head: Any, hidden: Any, rows: Any, targets: Any) -> Any:
        return exact(head, hidden, (rows - 1).clamp(min=0), targets)

    exact = labels_module.logprobs_at
    monkeypatch.setattr(labels_module, "logprobs_at", early)
    expect_red(tiny_model, tiny_reference)


def test_planted_prompts_that_share_too_much(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def more(one: Any, other: Any) -> int:
        least = min(len(one.prompt), len(other.prompt)) - 1
        return min(exact(one, other) + 1, least)

    exact = labels_module._shared
    monkeypatch.setattr(labels_module, "_shared", more)
    expect_red(tiny_model, tiny_reference)


def test_planted_trie_node_behind_its_sibling(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chained(self: Forest, tokens: Any, parents: Any, *, after: Any) -> int:
        return exact(self, tokens, range(-1, len(tokens) - 1), after=after)

    exact = Forest.tree
    monkeypatch.setattr(Forest, "tree", chained)
    expect_red(tiny_model, tiny_reference)


def test_planted_adapter_that_goes_on_from_the_last_branch(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.models.adapters import AdapterSession

    monkeypatch.setattr(AdapterSession, "restore", lambda self, slot, state: None)
    expect_red(tiny_model, tiny_reference, "gpt2")


def test_planted_first_label_token_not_counted(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(self: Trie, values: Sequence[float]) -> list[float]:
        return [sum(values[edge] for edge in path[1:]) for path in self.paths]

    monkeypatch.setattr(Trie, "sums", without)
    expect_red(tiny_model, tiny_reference)


@pytest.mark.weights
def test_smollm2_labels_equal_transformers(smollm2: Any, smollm2_reference: Any) -> None:
    names = ["New", "New York", "animal", "artifact", "plant", "plant life"]
    prompts = [f"{EXAMPLES}Word: {word}. Kind:" for word in ("hen", "cup", "oak")]
    found = score_labels(smollm2, prompts, [f" {name}" for name in names], end="\n")
    encode = smollm2.tokenizer.encode
    for row, prompt in zip(found.logprobs, prompts, strict=True):
        before = encode(prompt)
        every = [
            whole_text(smollm2_reference, before, encode(f"{prompt} {name}\n")[len(before) :])
            for name in names
        ]
        torch.testing.assert_close(row, torch.tensor(every), atol=1e-4, rtol=1e-4)
