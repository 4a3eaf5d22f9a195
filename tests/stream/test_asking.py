"""Answers from an index, against generation that reads everything."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError, ModelError, SettingError
from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
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
    with pytest.raises(InputError, match="must hold an index"):
        Index(tmp_path)
    ingest(settings_of())
    with pytest.raises(ModelError, match="weights must be that of the index"):
        Index(tmp_path / "index", model=str(tiny_folder("llama-yarn")))
    with pytest.raises(ModelError, match="dtype must be that of the index"):
        Index(tmp_path / "index", precision="bf16")
    with pytest.raises(SettingError, match="must be at least 1"):
        AskSettings(max_new_tokens=0)
    assert Reads(3).shares().tolist() == [0, 0, 0]
