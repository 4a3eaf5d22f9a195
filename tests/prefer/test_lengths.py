"""Lengths of generated answers."""

from dataclasses import replace
from typing import Any

from burnish.contracts.generation import Completion
from burnish.prefer.lengths import summarise, write_answers


def test_lengths_and_caps_by_hand() -> None:
    done = [
        Completion(id="a", tokens=(5, 6), text="x", finish="eos", num_passes=2),
        Completion(id="b", tokens=(5,) * 7, text="y", finish="length", num_passes=7),
        Completion(id="c", tokens=(), text="", finish="eos", num_passes=1),
    ]
    found = summarise(done, cap_tokens=7)
    assert (found.tokens, found.num_capped, found.cap_tokens) == ((2, 7, 0), 1, 7)
    assert found.length_tokens.value == 3.0 and found.length_tokens.n == 3
    assert found.texts == ("x", "y", "")


def test_planted_capped_answers_left_out() -> None:
    done = [
        Completion(id=str(n), tokens=(5,) * n, text="", finish="length" if n == 9 else "eos",
                   num_passes=1)
        for n in (1, 2, 9)
    ]  # fmt: skip
    kept = [one for one in done if one.finish == "eos"]
    assert summarise(done, cap_tokens=9).length_tokens.value == 4.0
    assert summarise(kept, cap_tokens=9).length_tokens.value != 4.0


def test_each_prompt_is_answered_once(tiny_model: Any, pairs: Any) -> None:
    model = tiny_model()
    twice = [*pairs, *[replace(p, row=p.row + 10) for p in pairs]]
    twice = [pair for both in zip(pairs, twice[len(pairs) :], strict=True) for pair in both]
    found = write_answers(model, twice, num_prompts=9, max_new_tokens=3)
    assert found is not None and len(found.tokens) == len(pairs)
    two = write_answers(model, twice, num_prompts=2, max_new_tokens=3)  # not one prompt twice
    assert two is not None and two.texts == found.texts[:2]
    assert max(found.tokens) <= 3
    assert not model.network.training
    assert write_answers(model, pairs[:1], num_prompts=9, max_new_tokens=3) is None
    assert write_answers(model, pairs, num_prompts=9, max_new_tokens=model.max_position) is None
