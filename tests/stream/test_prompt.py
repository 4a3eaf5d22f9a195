"""Document and question: one prompt in two parts."""

from typing import Any

import pytest

from burnish.base.errors import ModelError
from burnish.data.chat import render_chat
from burnish.stream.document import Document, Part
from burnish.stream.prompt import extended_source, make_source, question_tokens


def document(text: str) -> Document:
    return Document(text=text, parts=(Part(name="a", first=0, end=len(text)),))


def check_chat(tokenizer: Any, questions: Any) -> None:
    source = make_source(tokenizer, document("Sea level rose."), "chat")
    tail, seam = questions(tokenizer, source, "What rose?", "chat")
    whole = render_chat(tokenizer, [{"role": "user", "content": "Sea level rose.\n\nWhat rose?"}])
    assert [*source.ids, *tail] == whole and seam == "seamless"
    text = tokenizer.decode([*source.ids, *tail])
    assert text.count("<|im_start|>user") == 1 and text.endswith("<|im_start|>assistant\n")
    turns = [{"question": "What rose?", "answer": "The sea."}]
    tail, _ = questions(tokenizer, source, "When?", "chat", turns)
    messages = [
        {"role": "user", "content": "Sea level rose.\n\nWhat rose?"},
        {"role": "assistant", "content": "The sea."},
        {"role": "user", "content": "When?"},
    ]
    assert [*source.ids, *tail] == render_chat(tokenizer, messages)


def test_two_parts_are_the_whole_chat(tiny_tokenizer: Any) -> None:
    check_chat(tiny_tokenizer, question_tokens)


def test_planted_template_around_the_question(tiny_tokenizer: Any) -> None:
    def twice(tokenizer: Any, source: Any, question: str, template: str, turns: Any = ()) -> Any:
        return render_chat(tokenizer, [{"role": "user", "content": question}]), "seamless"

    with pytest.raises(AssertionError):
        check_chat(tiny_tokenizer, twice)


def test_a_seam_that_would_merge_is_reported(tiny_tokenizer: Any) -> None:
    source = make_source(tiny_tokenizer, document("xx ab"), "plain")
    for tail, wanted in (("c d", "hard"), (" d", "seamless")):
        ids, seam = question_tokens(tiny_tokenizer, source, tail, "plain")
        assert seam == wanted, tail
        assert tiny_tokenizer.decode([*source.ids, *ids]) == "xx ab" + tail
    assert question_tokens(tiny_tokenizer, source, "", "plain") == ([], "seamless")


def test_offsets_are_those_of_the_document(tiny_tokenizer: Any) -> None:
    text = "naïve 漢字 🙂 end"
    for template in ("plain", "chat"):
        source = make_source(tiny_tokenizer, document(text), template)
        inside = source.offsets[source.offsets[:, 1] > 0]
        assert inside[-1, 1] == len(text)
        pieces = {text[a:b] for a, b in inside}
        assert "🙂" in {p.strip() for p in pieces} and "\ufffd" not in "".join(pieces)
    more = extended_source(tiny_tokenizer, source, document("more"))
    assert more.document.text == text + "\n\nmore"
    assert more.ids[: len(source.ids)].tolist() == source.ids.tolist()
    first, last = more.offsets[len(source.ids)], more.offsets[-1]
    assert first[0] == len(text) and last[1] == len(more.document.text)


def test_a_template_that_changes_the_document(tiny_tokenizer: Any) -> None:
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = "{{ messages[0]['content'] | upper }}"
    with pytest.raises(ModelError, match="must contain a message as it is"):
        make_source(tokenizer, document("Sea level rose."), "chat")
