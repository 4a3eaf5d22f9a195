"""Pieces of a stream: their sum is the text, whatever tokens, stop strings and cuts."""

import random
from typing import Any

import pytest
from fixtures.scripted import ScriptedSession

from burnish.contracts.generation import Completion, Request, Sampling
from burnish.engine.loop import Loop
from burnish.server.deltas import BROKEN, Deltas
from burnish.server.tokens import special_names

EOS = 2
TEXTS = [
    ("x abc y", ("b",)),  # inside the token `abc`
    ("x in the y", ("n t",)),  # across `in` and ` the`
    ("one\n\ntwo", ("\n\n",)),
    ("say 🙂 now", ("🙂",)),  # a character of four tokens
    ("a 🙂🙂🙂 z é ü 漢字", ()),
    ("a 🙂🙃 z", ("🙃",)),  # both begin with the same three bytes
    ("aab aaab aaac", ("aaac",)),
    ("ab<|im_start|>users abab", ("b<|im_start|>us", "zz")),
    ("ab<|im_start|>x bus, then", ("b<|im_start|>us",)),
    ("bus stop", ("b<|im_start|>us",)),  # only the words of a stop string
    ("stop at once", ("s",)),
    ("nothing comes", ("comest", "never")),
]


def written(model: Any, tokens: list[int], stop: tuple[str, ...]) -> Completion:
    """What the loop makes of tokens."""
    done: list[Completion] = []
    session = ScriptedSession({(3,): [*tokens, EOS]}, 1)
    loop = Loop(model, session, 1, on_done=done.append)
    loop.add(Request(id="t", prompt=(3,), sampling=Sampling(stop=stop, max_new_tokens=300)))
    while not loop.is_idle:
        loop.round()
    return done[0]


def check_pieces(make: Any, model: Any) -> None:
    tokenizer, source = model.tokenizer, random.Random(3)

    def decode(tokens: list[int]) -> str:
        return tokenizer.decode(tokens, skip_special_tokens=True)

    raw = [[67 + 3, 188, 240 % 256 + 3, 9, 200], [source.randrange(3, 259) for _ in range(60)]]
    cases = [(tokenizer.encode(text), stop) for text, stop in TEXTS] + [(one, ()) for one in raw]
    for tokens, stop in cases:
        done = written(model, tokens, stop)
        for size in (1, 2, 5):
            deltas = make(decode, stop, special_names(tokenizer))
            pieces = [
                deltas.add(done.tokens[i : i + size]) for i in range(0, len(done.tokens), size)
            ]
            assert done.text.startswith("".join(pieces))
            assert not any(piece.endswith(BROKEN) for piece in pieces)
            assert "".join(pieces) + deltas.finish(done.text) == done.text
            if size == 1 and not stop and BROKEN not in done.text:
                assert "".join(pieces) == done.text  # nothing waits for the end


def test_pieces_are_the_text(tiny_model: Any) -> None:
    check_pieces(Deltas, tiny_model("llama"))


def test_planted_stop_string_sent_before_it_is_whole(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burnish.server.deltas._safe", lambda text, word, num_known: len(text))
    with pytest.raises(AssertionError):
        check_pieces(Deltas, tiny_model("llama"))


def test_planted_half_character(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burnish.server.deltas.BROKEN", "never")
    with pytest.raises(AssertionError):
        check_pieces(Deltas, tiny_model("llama"))
