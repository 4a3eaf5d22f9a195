"""Document and question as one prompt, cut where the document ends."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from burnish.base.errors import ModelError
from burnish.data.chat import chat_text
from burnish.stream.document import BETWEEN, Document
from burnish.stream.folder import TokenizedDocument

MARK = "\N{BLACK QUESTION MARK ORNAMENT}burnish\N{BLACK QUESTION MARK ORNAMENT}"
SEAM_TOKENS = 64  # of the document that are tokenised again to see whether the seam is clean

Turns = Sequence[Mapping[str, str]]  # question and answer of earlier turns


def make_source(tokenizer: Any, document: Document, template: str) -> TokenizedDocument:
    """The document's tokens after the template's opening.

    Raises ModelError where a template changes the document.
    Source: ours. Oracle: tests/stream/test_prompt.py::test_two_parts_are_the_whole_chat
    """
    head = ""
    if template == "chat":
        whole = _rendered(tokenizer, document.text + BETWEEN + MARK, ())
        head, middle, _ = whole.partition(document.text + BETWEEN)
        if not middle:
            rule, remedy = "must contain a message as it is", "Use --template plain"
            raise ModelError("chat template", whole[:60], rule, remedy=remedy)
    special = template != "chat"
    made = _tokenized(tokenizer, head + document.text, special=special)
    offsets = np.array(made["offset_mapping"], dtype=np.int64).reshape(-1, 2) - len(head)
    ids = np.array(made["input_ids"], dtype=np.int64)
    return TokenizedDocument(document=document, head=head, ids=ids, offsets=np.maximum(offsets, 0))


def extended_source(tokenizer: Any, source: TokenizedDocument, more: Document) -> TokenizedDocument:
    """A source with another document appended; its tokens so far stay as they are."""
    whole = source.document.joined(more)
    begin = len(source.document.text)
    made = _tokenized(tokenizer, whole.text[begin:])
    offsets = np.array(made["offset_mapping"], dtype=np.int64).reshape(-1, 2) + begin
    return TokenizedDocument(
        document=whole,
        head=source.head,
        ids=np.concatenate((source.ids, np.array(made["input_ids"], dtype=np.int64))),
        offsets=np.concatenate((source.offsets, offsets)),
    )


def _tokenized(tokenizer: Any, text: str, *, special: bool = False) -> Any:
    """Tokens with their characters; without a warning that the text is longer than the window."""
    return tokenizer(text, add_special_tokens=special, return_offsets_mapping=True, verbose=False)


def question_tokens(
    tokenizer: Any, source: TokenizedDocument, question: str, template: str, turns: Turns = ()
) -> tuple[list[int], str]:
    """Tokens of the question after the document, and how clean the seam is.

    `seamless`: together they are the tokens of the joined text; `hard`: the tokenizer would merge
    characters across the document's end, so that it is a boundary.
    Source: ours. Oracle: tests/stream/test_prompt.py::test_a_seam_that_would_merge_is_reported
    """
    begin = source.head + source.document.text
    if template == "chat":
        first = turns[0]["question"] if turns else question
        whole = _rendered(tokenizer, source.document.text + BETWEEN + first, turns, question)
        if not whole.startswith(begin):
            rule, remedy = "must contain a message as it is", "Use --template plain"
            raise ModelError("chat template", whole[:60], rule, remedy=remedy)
        tail = whole[len(begin) :]
    else:
        before = "".join(f"{turn['question']}{turn['answer']}{BETWEEN}" for turn in turns)
        tail = before + question
    if not tail:
        return [], "seamless"
    own = list(tokenizer(tail, add_special_tokens=False)["input_ids"])
    ids = source.ids[-SEAM_TOKENS:].tolist()
    start = int(source.offsets[-len(ids), 0])
    joined = tokenizer(source.document.text[start:] + tail, add_special_tokens=False)["input_ids"]
    clean = list(joined)[-len(own) - 1 :] == [*ids, *own][-len(own) - 1 :]
    return own, "seamless" if clean else "hard"


def _rendered(tokenizer: Any, content: str, turns: Turns, question: str = "") -> str:
    messages = [{"role": "user", "content": content}]
    asked = [*(turn["question"] for turn in turns[1:]), question]
    for turn, following in zip(turns, asked, strict=False):
        messages.append({"role": "assistant", "content": turn["answer"]})
        messages.append({"role": "user", "content": following})
    return chat_text(tokenizer, messages, add_generation_prompt=True)
