"""The one path from messages to token ids, so that training and generation see the same prompt."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from burnish.base.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Template = Literal["auto", "chat", "plain"]
Message = Mapping[str, Any]
ROLES: Mapping[str, str] = {  # what data sets call who speaks
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}


class RefusedError(ModelError):
    """A conversation that a template or tokenizer cannot render; another one it may."""


def render_chat(
    tokenizer: "PreTrainedTokenizerFast",
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = True,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> list[int]:
    """Return the token ids of `messages` in the tokenizer's own chat template.

    `tools` are functions as OpenAI's API describes them; templates may leave them out.
    Raises: ModelError, where there is no template or it refuses the messages.
    Source: transformers, `apply_chat_template`.
    Oracle: tests/data/test_chat.py::test_rendering_is_that_of_transformers
    """
    given = {"add_generation_prompt": add_generation_prompt, "tools": tools}
    return _encode(tokenizer, chat_text(tokenizer, messages, **given))


def render_prompt(
    tokenizer: "PreTrainedTokenizerFast",
    prompt: str,
    *,
    system: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
    template: Template = "auto",
) -> list[int]:
    """Return the token ids after which a model writes its answer to `prompt`.

    `examples` are solved (prompt, answer) pairs, shown as earlier turns. `template`: `chat` is the
    tokenizer's chat template; `plain` is for base models: the tokenizer's start token if it has
    one, then system, examples (`prompt`, line end, `answer`) with an empty line after each, and
    `prompt` with a line end; `auto` is `chat` where there is one, else `plain`.
    Raises: ModelError, as `render_chat`.
    Source: ours.
    Oracle: tests/data/test_chat.py::test_prompt_is_the_written_out_chatml
    """
    text = _prompt_text(tokenizer, prompt, system=system, examples=examples, template=template)
    return _start(tokenizer, template) + _encode(tokenizer, text)


def render_messages(tokenizer: "PreTrainedTokenizerFast", messages: Sequence[Message]) -> list[int]:
    """As `render_prompt` with `auto`, from a conversation that ends with the user's question.

    Without a chat template, earlier pairs of turns become its examples.
    Raises: ModelError, where there is no template and the turns do not alternate.
    Source: ours. Oracle: tests/data/test_chat.py::test_messages_are_rendered_as_their_prompt
    """
    if tokenizer.chat_template:
        return render_chat(tokenizer, messages)
    turns = list(messages)
    system = turns.pop(0)["content"] if turns and turns[0]["role"] == "system" else None
    roles = [turn["role"] for turn in turns]
    if roles != (["user", "assistant"] * len(turns))[: len(turns)] or len(turns) % 2 == 0:
        rule = "must alternate and end with the user's, where there is no chat template"
        remedy = "Use an instruct model, or correct the turns"
        raise ModelError("roles of messages", roles, rule, remedy=remedy)
    texts = [turn["content"] for turn in turns]
    examples = list(zip(texts[:-1:2], texts[1::2], strict=True))
    return render_prompt(tokenizer, texts[-1], system=system, examples=examples)


def render_example(
    tokenizer: "PreTrainedTokenizerFast",
    prompt: str,
    answer: str,
    *,
    system: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
    template: Template = "auto",
) -> tuple[list[int], list[int]]:
    """Return (prompt ids, answer ids): what is given, and what a model shall learn to write.

    The prompt ids are `render_prompt`'s; both together are the rendering of the conversation up to
    and including the token that ends the turn. Where a tokenizer would merge characters across
    the seam (an answer that begins with a line end), the parts are tokenised apart, as they
    are when the model writes; their text is checked to be the same.
    Raises: ModelError, where the template changes the prompt once an answer follows, or ends turns
    with no special token; as `render_chat`.
    Source: ours.
    Oracle: tests/data/test_chat.py::test_example_is_the_whole_conversation
    """
    given = _prompt_text(tokenizer, prompt, system=system, examples=examples, template=template)
    start = _start(tokenizer, template)
    if not _uses_chat(tokenizer, template):
        given_ids, answer_ids = _encode_parts(tokenizer, given, given + answer)
        return start + given_ids, [*answer_ids, _end_token(tokenizer)]
    messages = [*to_messages(prompt, system, examples), {"role": "assistant", "content": answer}]
    whole = chat_text(tokenizer, messages, add_generation_prompt=False)
    if not whole.startswith(given):
        remedy = "Use --template plain, or correct the template's generation prompt"
        rule = "must render a prompt the same with and without its answer"
        raise RefusedError("chat template", _difference(given, whole), rule, remedy=remedy)
    given_ids, answer_ids = _encode_parts(tokenizer, given, whole)
    specials = set(tokenizer.all_special_ids)
    ends = [i for i, token in enumerate(answer_ids) if token in specials]
    if not ends:
        remedy = "Use --template plain, or end assistant turns with the end token"
        raise ModelError(
            "chat template", whole[len(given) :], "must end turns with a special token",
            remedy=remedy,
        )  # fmt: skip
    return given_ids, answer_ids[: ends[-1] + 1]


def _uses_chat(tokenizer: "PreTrainedTokenizerFast", template: Template) -> bool:
    return template == "chat" or (template == "auto" and bool(tokenizer.chat_template))


def to_messages(
    prompt: str, system: str | None = None, examples: Sequence[tuple[str, str]] = ()
) -> list[dict[str, str]]:
    """The conversation that ends with `prompt`: system, solved examples, and the question."""
    messages = [] if system is None else [{"role": "system", "content": system}]
    for question, answer in examples:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    return [*messages, {"role": "user", "content": prompt}]


def _prompt_text(
    tokenizer: "PreTrainedTokenizerFast",
    prompt: str,
    *,
    system: str | None,
    examples: Sequence[tuple[str, str]],
    template: Template,
) -> str:
    if _uses_chat(tokenizer, template):
        messages = to_messages(prompt, system, examples)
        return chat_text(tokenizer, messages, add_generation_prompt=True)
    parts = [] if system is None else [system]
    parts += [f"{question}\n{answer}" for question, answer in examples]
    return "\n\n".join([*parts, prompt]) + "\n"


def chat_text(
    tokenizer: "PreTrainedTokenizerFast",
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The text of `messages` in the tokenizer's template. Raises: ModelError, RefusedError."""
    if not tokenizer.chat_template:
        remedy = "Use an instruct model, or --template plain for a base model"
        raise ModelError("tokenizer", tokenizer.name_or_path, "has no chat template", remedy=remedy)
    if isinstance(tokenizer.chat_template, Mapping) and "default" not in tokenizer.chat_template:
        names, rule = sorted(tokenizer.chat_template), "must have one that is named default"
        remedy = "Rename one in tokenizer_config.json, or use --template plain"
        raise ModelError("chat templates", names, rule, remedy=remedy)
    given: dict[str, Any] = {} if tools is None else {"tools": [dict(tool) for tool in tools]}
    try:
        text = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **given,
        )
    except Exception as error:  # a template is a program, with any of a program's errors
        roles = [message["role"] for message in messages]
        remedy = f"The template says: {error}"
        raise RefusedError("chat template", roles, "refuses messages", remedy=remedy) from error
    assert isinstance(text, str)
    return text


def _encode(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _encode_parts(
    tokenizer: "PreTrainedTokenizerFast", given: str, whole: str
) -> tuple[list[int], list[int]]:
    """Token ids of `given`, and of what `whole` adds to it."""
    given_ids, whole_ids = _encode(tokenizer, given), _encode(tokenizer, whole)
    if whole_ids[: len(given_ids)] == given_ids:
        return given_ids, whole_ids[len(given_ids) :]
    rest_ids = _encode(tokenizer, whole[len(given) :])
    if _decode(tokenizer, given_ids + rest_ids) != _decode(tokenizer, whole_ids):
        remedy = "Use --template plain"
        rule = "must tokenise a prompt the same with and without its answer"
        raise RefusedError("tokenizer", whole[-80:], rule, remedy=remedy)
    return given_ids, rest_ids


def _decode(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))


def _start(tokenizer: "PreTrainedTokenizerFast", template: Template) -> list[int]:
    """The start token of a plain text, where the tokenizer puts one; templates write theirs."""
    if _uses_chat(tokenizer, template) or tokenizer.bos_token_id is None:
        return []
    written = list(tokenizer("")["input_ids"])
    return written[:1] if written[:1] == [tokenizer.bos_token_id] else []


def _end_token(tokenizer: "PreTrainedTokenizerFast") -> int:
    token = tokenizer.eos_token_id
    if not isinstance(token, int):
        remedy = "Give the tokenizer an eos_token"
        raise ModelError("tokenizer", tokenizer.name_or_path, "has no end token", remedy=remedy)
    return token


def _difference(given: str, whole: str) -> str:
    same = next(
        (i for i, (a, b) in enumerate(zip(given, whole, strict=False)) if a != b), len(whole)
    )
    return given[max(same - 20, 0) : same + 40]
