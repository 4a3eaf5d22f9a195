"""Chat rendering against text written out by hand, and against transformers' own tokenising."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burnish.base.errors import ModelError
from burnish.data import chat
from burnish.data.chat import (
    render_chat,
    render_example,
    render_messages,
    render_prompt,
    to_messages,
)

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
COUNTING = "{{ messages | length }}" + CHATML  # says something else once an answer follows
ENDLESS = "{% for m in messages %}{{ m['content'] + '\n' }}{% endfor %}"


def make_tokenizer(template=CHATML, *, bos=False, merges=()):
    """Byte-level BPE over all bytes, with the given merges."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<s>"]
    tokenizer.add_special_tokens([AddedToken(s, special=True) for s in special])
    if bos:
        start = ("<s>", tokenizer.token_to_id("<s>"))
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[start])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=template, eos_token="<|im_end|>",
        bos_token="<s>", additional_special_tokens=["<|im_start|>"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def text_of(tokenizer, ids):
    return tokenizer.decode(ids, clean_up_tokenization_spaces=False)


MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]


def test_rendering_is_that_of_transformers(tokenizer):
    for add in (True, False):
        theirs = tokenizer.apply_chat_template(
            MESSAGES, add_generation_prompt=add, tokenize=True, return_dict=False
        )
        assert render_chat(tokenizer, MESSAGES, add_generation_prompt=add) == theirs


def test_rendering_adds_no_second_start_token():
    tokenizer = make_tokenizer("<s>" + CHATML, bos=True)
    ids = render_chat(tokenizer, MESSAGES)
    assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id


def test_prompt_is_the_written_out_chatml(tokenizer):
    ids = render_prompt(tokenizer, "3 + 3?", system="Be brief.", examples=[("2 + 2?", "4")])
    assert text_of(tokenizer, ids) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2 + 2?<|im_end|>\n"
        "<|im_start|>assistant\n4<|im_end|>\n<|im_start|>user\n3 + 3?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def check_messages(render, tokenizer):
    for system in (None, "Be brief."):
        for examples in ([], [("2 + 2?", "4")], [("a", "b"), ("c", "d")]):
            told = {"system": system, "examples": examples}
            messages = to_messages("3 + 3?", **told)
            assert render(tokenizer, messages) == render_prompt(tokenizer, "3 + 3?", **told)


@pytest.mark.parametrize("template", [CHATML, None])
@pytest.mark.parametrize("bos", [False, True])
def test_messages_are_rendered_as_their_prompt(template, bos):
    check_messages(render_messages, make_tokenizer(template, bos=bos))


def test_planted_examples_are_dropped():
    with pytest.raises(AssertionError):
        check_messages(lambda t, m: render_messages(t, m[-1:]), make_tokenizer(None))


@pytest.mark.parametrize("roles", ["assistant", "user assistant", "user user user", "system", ""])
def test_turns_that_are_no_prompt(roles):
    messages = [{"role": role, "content": "x"} for role in roles.split()]
    with pytest.raises(ModelError, match="must alternate and end with the user's"):
        render_messages(make_tokenizer(None), messages)


def check_example(fn, tokenizer, prompt, answer):
    prompt_ids, answer_ids = fn(tokenizer, prompt, answer)
    given = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    assert text_of(tokenizer, prompt_ids) == given
    assert text_of(tokenizer, answer_ids) == f"{answer}<|im_end|>"
    assert answer_ids[-1] == tokenizer.eos_token_id
    assert prompt_ids == render_prompt(tokenizer, prompt)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(), answer=st.text())
def test_example_is_the_whole_conversation(tokenizer, prompt, answer):
    check_example(render_example, tokenizer, prompt, answer)


def test_example_tokens_are_those_of_the_whole_text(tokenizer):
    prompt_ids, answer_ids = render_example(tokenizer, "2 + 2?", "It is 4.")
    turns = [MESSAGES[1], {"role": "assistant", "content": "It is 4."}]
    whole = render_chat(tokenizer, turns, add_generation_prompt=False)
    assert prompt_ids + answer_ids == whole[: len(prompt_ids + answer_ids)]
    assert text_of(tokenizer, whole[len(prompt_ids + answer_ids) :]) == "\n"


def test_planted_end_token_is_forgotten(tokenizer):
    def without_end(*args):
        prompt_ids, answer_ids = render_example(*args)
        return prompt_ids, answer_ids[:-1]

    with pytest.raises(AssertionError):
        check_example(without_end, tokenizer, "2 + 2?", "4")


def test_planted_line_end_is_trained_on(tokenizer):
    def with_line_end(*args):
        prompt_ids, answer_ids = render_example(*args)
        return prompt_ids, answer_ids + tokenizer("\n").input_ids

    with pytest.raises(AssertionError):
        check_example(with_line_end, tokenizer, "2 + 2?", "4")


def test_merges_across_the_seam_keep_the_prompt_apart():
    tokenizer = make_tokenizer(merges=[("Ċ", "Ċ")])
    assert len(tokenizer("\n\n").input_ids) == 1  # it does merge line ends
    check_example(render_example, tokenizer, "2 + 2?", "\n4")


def test_plain_is_for_base_models():
    tokenizer = make_tokenizer(None, bos=True)
    prompt_ids, answer_ids = render_example(tokenizer, "2 + 2?", "4", examples=[("1 + 1?", "2")])
    assert text_of(tokenizer, prompt_ids) == "<s>1 + 1?\n2\n\n2 + 2?\n"
    assert text_of(tokenizer, answer_ids) == "4<|im_end|>"
    assert prompt_ids == render_prompt(tokenizer, "2 + 2?", examples=[("1 + 1?", "2")])
    with_chat = make_tokenizer()
    plain = render_prompt(with_chat, "2 + 2?", system="Hi", template="plain")
    assert text_of(with_chat, plain) == "Hi\n\n2 + 2?\n"


@pytest.mark.parametrize(
    ("template", "call", "message"),
    [
        (None, lambda t: render_chat(t, MESSAGES), "has no chat template.*--template plain"),
        (None, lambda t: render_prompt(t, "x", template="chat"), "has no chat template"),
        (NO_SYSTEM + CHATML, lambda t: render_chat(t, MESSAGES), "refuses.*no system"),
        (
            COUNTING,
            lambda t: render_example(t, "x", "y"),
            "^chat template must render a prompt the same with and without its answer",
        ),
        (ENDLESS, lambda t: render_example(t, "x", "y"), "must end turns with a special token"),
    ],
)
def test_templates_that_cannot_be_used(template, call, message):
    with pytest.raises(ModelError, match=message):
        call(make_tokenizer(template))


def test_a_base_model_without_end_token_cannot_be_taught():
    tokenizer = make_tokenizer(None)
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="has no end token"):
        render_example(tokenizer, "x", "y")


def test_importing_chat_is_cheap():
    import subprocess
    import sys

    code = f"import {chat.__name__}, sys; assert not {{'transformers', 'torch'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_named_templates_need_a_default():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = {"default": CHATML, "tool_use": ENDLESS}
    assert render_chat(tokenizer, MESSAGES) == render_chat(make_tokenizer(), MESSAGES)
    tokenizer.chat_template = {"tool_use": ENDLESS, "rag": CHATML}
    with pytest.raises(ModelError, match=r"that is named default, got \['rag', 'tool"):
        render_chat(tokenizer, MESSAGES)
    assert render_prompt(tokenizer, "a", template="plain")


@pytest.mark.parametrize("code", ["{{ 1 / 0 }}", "{{ messages[0] + 1 }}", "{{ messages.x.y }}"])
def test_a_template_that_fails_is_one_line(code):
    with pytest.raises(chat.RefusedError, match="refuses messages"):
        render_chat(make_tokenizer(code), MESSAGES)


class Merging:
    """A tokenizer whose `ab` is one token."""

    def __call__(self, text, **named):
        return {"input_ids": [ord(c) for c in text.replace("ab", "X")]}

    def decode(self, ids, **named):
        return "".join(map(chr, ids)).replace("X", "ab")


def test_an_answer_that_would_merge_with_its_prompt_is_apart():
    a, b, x = map(ord, "abX")
    assert chat._encode_parts(Merging(), "b", "bab") == ([b], [x])
    assert chat._encode_parts(Merging(), "a", "abb") == ([a], [b, b])
    with pytest.raises(chat.RefusedError, match=r"^tokenizer must tokenise a prompt the same"):
        chat._encode_parts(Merging(), "ab", "b")
