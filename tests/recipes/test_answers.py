"""`burnish.load`: the options of `burnish generate`, and what is refused before a model loads."""

from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.contracts.generation import Request, Sampling
from burnish.data.chat import render_chat
from burnish.engine.generate import generate
from burnish.recipes.answers import SAMPLING, RemoteWriter, checked_prompt, load


def written(model: Any, tokens: Any, sampling: Sampling) -> str:
    """The text of the loop itself."""
    request = Request(id="x", prompt=tuple(tokens), sampling=sampling)
    return generate(model, [request], batch_size=1)[0].text


def test_texts_are_those_of_the_loop(tiny_folder: Any) -> None:
    writer: Any = load(str(tiny_folder("llama")), precision="fp32", device="cpu")
    tokens = writer.model.tokenizer("red 1")["input_ids"]
    found = writer.generate("\ufeffred 1", max_new_tokens=7, seed=3)
    wanted = Sampling(**{**vars(SAMPLING), "max_new_tokens": 7, "seed": 3})
    assert wanted.temperature == 0.7 and SAMPLING.max_new_tokens == 128
    assert found.text == written(writer.model, tokens, wanted)
    greedy = writer.generate("red 1", max_new_tokens=7, greedy=True)
    assert greedy.text == written(
        writer.model, tokens, Sampling(max_new_tokens=7, temperature=0.0)
    )  # fmt: skip
    told = writer.generate("red 1", max_new_tokens=7, seed=3, chat=True)
    asked = render_chat(writer.model.tokenizer, [{"role": "user", "content": "red 1"}])
    assert told.text == written(writer.model, asked, wanted)
    bounded = load(
        str(tiny_folder("llama")), precision="fp32", device="cpu", kv="window:budget_tokens=6"
    )
    assert bounded.generate("red 1 " * 9, max_new_tokens=7, greedy=True).tokens != (
        writer.generate("red 1 " * 9, max_new_tokens=7, greedy=True).tokens
    )


@pytest.mark.parametrize("prompt", ["", "  \n", "\ufeff"])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    with pytest.raises(SettingError, match=r"^prompt must not be empty, got '"):
        checked_prompt(prompt)


def test_a_prompt_stays_as_it_is_but_for_its_mark() -> None:
    assert checked_prompt("\ufeff a\n") == " a\n"
    assert checked_prompt("é".encode()) == "é"


def test_a_server_decodes_as_it_likes() -> None:
    server = "openai:http://127.0.0.1:9/v1#name"
    assert isinstance(load(server), RemoteWriter)
    for name, value in (("draft", "ngram"), ("kv", "window:budget_tokens=6")):
        with pytest.raises(SettingError, match=f"^{name} must be left out for a server's model"):
            load(server, **{name: value})


def test_drafts_and_policies_are_checked_before_the_model_is_loaded() -> None:
    with pytest.raises(SettingError, match=r"^draft must be plain with a KV policy, got 'ngram'"):
        load("no-such-model", draft="ngram", kv="window:budget_tokens=6")
    with pytest.raises(LookupError, match="windw"):
        load("no-such-model", kv="windw")
    with pytest.raises(LookupError, match="ngarm"):
        load("no-such-model", draft="ngarm")
