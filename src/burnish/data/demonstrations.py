"""Layouts of solved examples before a question: turns of a chat, one message, a plain block."""

from collections.abc import Sequence
from typing import Literal

from burnish.data.chat import Message, to_messages

Layout = Literal["turns", "message", "block"]
QUESTION, ANSWER = "Question:", "Answer:"
STOPS: dict[Layout, tuple[str, ...]] = {
    "turns": (),
    "message": (f"\n{QUESTION}",),
    "block": (f"\n{QUESTION}",),
}  # what ends an answer, where a model would go on with a question of its own


def lay_out(
    layout: Layout, prompt: str, examples: Sequence[tuple[str, str]] = ()
) -> str | tuple[Message, ...]:
    """What a model is given: the solved (question, answer) pairs, and then the question.

    `turns`: each pair is a turn of the user's and one of the assistant's; `message`: one message
    of the user's holds all; `block`: a plain text to continue, without the chat template.
    Source: `block` is the form of GPT-3's few-shot prompts, arXiv 2005.14165, appendix G.
    Oracle: tests/data/test_demonstrations.py::test_layouts_are_these_texts
    """
    if layout == "turns":
        return tuple(to_messages(prompt, examples=examples))
    pairs = [f"{QUESTION} {question}\n{ANSWER} {answer}" for question, answer in examples]
    text = "\n\n".join([*pairs, f"{QUESTION} {prompt}\n{ANSWER}"])
    return text if layout == "block" else tuple(to_messages(text))
