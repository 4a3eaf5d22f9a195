"""Needles stand where they say, and are spread over the text."""

import itertools
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.stream.needles import make_haystack


def make(tokenizer: Any, **given: Any) -> Any:
    settings = {"corpus": "stdlib", "length": 900, "num_needles": 5, "tail": 200, "seed": 3}
    return make_haystack(tokenizer, **{**settings, **given})


def test_needles_stand_where_they_say(tiny_tokenizer: Any) -> None:
    text = make(tiny_tokenizer)
    assert len(text.ids) == 900
    for needle in text.needles:
        told = tiny_tokenizer.decode(text.ids[needle.first : needle.end])
        asked = tiny_tokenizer.decode(needle.question)
        name = asked.partition("code of the ")[2].partition("?")[0]
        assert f"code of the {name} is" in told
        assert told.endswith(f"{tiny_tokenizer.decode(needle.answer)}.\n")
    depths = [needle.depth for needle in text.needles]
    assert depths == sorted(depths) and depths[-1] < 1 - 200 / 900
    assert max(b - a for a, b in itertools.pairwise(depths)) < 0.25
    assert make(tiny_tokenizer) == text != make(tiny_tokenizer, seed=4)


def test_refusals(tiny_tokenizer: Any) -> None:
    with pytest.raises(SettingError, match="must hold 5 needles"):
        make(tiny_tokenizer, length=300)
    with pytest.raises(SettingError, match=r"must lie in \[1, 160\]"):
        make(tiny_tokenizer, num_needles=500)
