"""Answers from an index, against generation that reads everything."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError, ModelError, SettingError
from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.stream import asking as module
from burnish.stream.asking import AskSettings, Index, Reads, ask
from burnish.stream.reading import ingest


def check_answers(settings_of: Any, tmp_path: Path, tiny_model: Any) -> None:
    """A budget that covers the text: the same greedy tokens as a plain prompt."""
    ingest(settings_of(far=5000))
    index = Index(tmp_path / "index")
    model, ids = tiny_model("llama"), index.source.ids.tolist()
    for question in ("", " what left?", "x " * 70):
        own = model.tokenizer(question, add_special_tokens=False)["input_ids"]
        request = Request(id="0", prompt=(*ids, *own), sampling=Sampling(max_new_tokens=8))
        wanted = generate(model, [request])[0]
        found = index.ask(question, max_new_tokens=8)
        assert found["text"] == wanted.text, question
        assert found["tokens"] == len(wanted.tokens)


def test_answers_equal_generation_without_an_index(
    settings_of: Any, tmp_path: Path, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 16)
    check_answers(settings_of, tmp_path, tiny_model)


def test_planted_question_read_twice(
    settings_of: Any, tmp_path: Path, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(*given: Any) -> Any:
        tokens, seam = exact(*given)
        return [*tokens, *tokens], seam

    exact = module.question_tokens
    monkeypatch.setattr(module, "question_tokens", twice)
    with pytest.raises(AssertionError):
        check_answers(settings_of, tmp_path, tiny_model)


def test_spans_and_order_of_questions(settings_of: Any, tmp_path: Path) -> None:
    ingest(settings_of(far=40))
    one, two = Index(tmp_path / "index"), Index(tmp_path / "index")
    keys = ("text", "spans")
    first = [{k: one.ask(q, max_new_tokens=4)[k] for k in keys} for q in (" sea?", " boats?")]
    then = [{k: two.ask(q, max_new_tokens=4)[k] for k in keys} for q in (" boats?", " sea?")]
    assert first == then[::-1]
    spans = first[0]["spans"]
    assert spans and spans == sorted(spans, key=lambda s: -s["score"])
    for span in spans:
        assert span["text"] == one.source.document.text[span["start"] : span["end"]]
        assert "\ufffd" not in span["text"] and span["line"] >= 1
    ends = sorted((s["start"], s["end"]) for s in spans)
    assert all(a[1] <= b[0] + 1 for a, b in itertools.pairwise(ends))


def check_drafts(settings_of: Any, tmp_path: Path) -> None:
    """A budget that covers the text: drafts change the passes and not the text."""
    ingest(settings_of(far=5000))
    index = Index(tmp_path / "index")
    saved = 0
    for question in ("", " boats left before", " slept the sea rose"):
        plain = index.ask(question, max_new_tokens=12)
        for drafts in (1, 5):
            found = index.ask(question, max_new_tokens=12, drafts=drafts)
            assert (found["text"], found["tokens"]) == (plain["text"], plain["tokens"])
            assert found["passes"] <= plain["passes"] == plain["tokens"] - 1
            saved += plain["passes"] - found["passes"]
    assert saved > 0


def test_drafted_answers_are_the_same(
    settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(settings_of(far=5000))
    wanted = Index(tmp_path / "index").ask("", max_new_tokens=12)
    model = Index(tmp_path / "index").model
    answer = model.tokenizer(wanted["text"], add_special_tokens=False)["input_ids"]
    whole = [*Index(tmp_path / "index").source.ids.tolist(), *answer]

    def half_right(ids: list[int], most: int) -> list[int]:
        right = whole[len(ids) : len(ids) + min(most, 2)]
        return [*right, 3, 3][:most] if most > 0 else []

    monkeypatch.setattr(module, "guessed", half_right)
    check_drafts(settings_of, tmp_path)


def test_planted_drafts_that_are_all_accepted(
    settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = RetrievingMemory.accept

    def accept(self: RetrievingMemory, num_rows: int) -> None:
        exact(self, self._num_rows)

    monkeypatch.setattr(RetrievingMemory, "accept", accept)
    with pytest.raises(AssertionError):
        test_drafted_answers_are_the_same(settings_of, tmp_path, monkeypatch)


def test_drafts_are_copied_from_the_text() -> None:
    text = [1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 2, 3, 4]
    assert module.guessed(text, 2) == [6, 7] and module.guessed(text, 9) == [6, 7, 2, 3, 4]
    assert (
        module.guessed(text, 0) == module.guessed([1, 2, 3, 4], 4) == module.guessed([1], 4) == []
    )


def test_a_conversation_is_kept(settings_of: Any, tmp_path: Path) -> None:
    ingest(settings_of(template="chat"))
    named = {"index": str(tmp_path / "index"), "max_new_tokens": 3}
    place = tmp_path / "turns.json"
    alone = ask(AskSettings(question="And then?", **named))
    kept = {**named, "conversation": str(place), "out": str(tmp_path / "page")}
    ask(AskSettings(question="What left?", **kept))
    followed = ask(AskSettings(question="And then?", **kept))
    assert followed["question_tokens"] > alone["question_tokens"]
    assert place.read_text().count('"question"') == 2
    assert (tmp_path / "page" / "index.html").is_file()
    for wrong in ("{}", "[1]", '[{"question": "x"}]', '[{"question": "x", "answer": 1}]'):
        place.write_text(wrong)
        with pytest.raises(InputError, match="must be a conversation"):
            ask(AskSettings(question="And then?", **kept))
        assert place.read_text() == wrong


def test_damaged_indexes(settings_of: Any, tmp_path: Path) -> None:
    ingest(settings_of())
    folder = tmp_path / "index"
    layer = folder / "layer-001.kv"
    whole = layer.read_bytes()
    layer.write_bytes(whole[:-8])
    with pytest.raises(InputError, match="is damaged"):
        Index(folder)
    layer.write_bytes(whole)
    assert Index(folder)
    for pattern in ("state-*", "tokens-*", "text-*"):
        (path,) = folder.glob(pattern)
        body = path.read_bytes()
        path.write_bytes(body[: len(body) // 2])
        with pytest.raises(InputError, match="is damaged"):
            Index(folder)
        path.write_bytes(body)


def test_refusals(settings_of: Any, tmp_path: Path, tiny_folder: Any) -> None:
    with pytest.raises(InputError, match="must contain an index"):
        Index(tmp_path)
    ingest(settings_of())
    with pytest.raises(ModelError, match="rope must be that of the index"):
        Index(tmp_path / "index", model=str(tiny_folder("llama-yarn")))
    with pytest.raises(ModelError, match="dtype must be that of the index"):
        Index(tmp_path / "index", precision="bf16")
    with pytest.raises(SettingError, match="must be at least 1"):
        AskSettings(max_new_tokens=0)
    assert Reads(3).shares().tolist() == [0, 0, 0]
