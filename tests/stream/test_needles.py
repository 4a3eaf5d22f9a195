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
        ((first, end),) = needle.places
        told = tiny_tokenizer.decode(text.ids[first:end])
        asked = tiny_tokenizer.decode(needle.question)
        name = asked.partition("code of the ")[2].partition("?")[0]
        assert f"code of the {name} is" in told
        assert told.endswith(f"{tiny_tokenizer.decode(needle.answer)}.\n")
    depths = [needle.depth for needle in text.needles]
    assert depths == sorted(depths) and depths[-1] < 1 - 200 / 900
    assert max(b - a for a, b in itertools.pairwise(depths)) < 0.25
    assert make(tiny_tokenizer) == text != make(tiny_tokenizer, seed=4)


def test_facts_share_no_form(tiny_tokenizer: Any) -> None:
    text = make(tiny_tokenizer, kind="facts", length=2600, num_needles=10)
    whole, names = tiny_tokenizer.decode(text.ids), set()
    for needle in text.needles:
        ((first, end),) = needle.places
        asked = tiny_tokenizer.decode(needle.question)
        name = asked.partition("What is ")[2].partition("?")[0]
        assert asked.endswith(f"Answer: {name[0].upper()}{name[1:]} is")
        answer = tiny_tokenizer.decode(needle.answer)
        assert tiny_tokenizer.decode(text.ids[first:end]) == f"\nThe {name[4:]} is{answer}.\n"
        assert whole.count(name[4:]) == 1
        names.add(name)
    assert len(names) == 10


@pytest.mark.parametrize("kind", ["multikey", "multivalue", "variables"])
def test_harder_needles_stand_where_they_say(kind: str, tiny_tokenizer: Any) -> None:
    text = make(tiny_tokenizer, kind=kind, length=2600, num_needles=3)
    assert len(text.ids) == 2600 and len({needle.question for needle in text.needles}) == 3
    whole = tiny_tokenizer.decode(text.ids)
    for needle in text.needles:
        told = [tiny_tokenizer.decode(text.ids[a:b]) for a, b in needle.places]
        asked = tiny_tokenizer.decode(needle.question)
        answer = tiny_tokenizer.decode(needle.answer)
        assert needle.depth == needle.places[0][0] / 2600
        assert [a for a, _ in needle.places] == sorted(a for a, _ in needle.places)
        if kind == "multikey":
            thing = asked.partition("?")[0].split()[-1]
            assert whole.count(f"{thing} is") == 4 and len(told) == 1
            assert told[0].endswith(f"{answer}.\n")
        elif kind == "multivalue":
            values = answer.replace(" and", ",").strip().split(", ")
            assert [line.rstrip(".\n").split()[-1] for line in told] == values
            assert asked.partition("codes of the ")[2].partition(",")[0] in told[0]
        else:
            names = answer.replace(" and", ",").strip().split(", ")
            assert [line.split()[1] for line in told] == names and len(names) == 4
            values = [line.split(" = ")[1].strip() for line in told]
            assert values[1:] == [f"VAR {name}" for name in names[:-1]]
            assert values[0] in asked


def test_refusals(tiny_tokenizer: Any) -> None:
    with pytest.raises(SettingError, match="must contain 5 needles"):
        make(tiny_tokenizer, length=300)
    with pytest.raises(SettingError, match=r"must lie in \[1, 160\]"):
        make(tiny_tokenizer, num_needles=500)
    with pytest.raises(SettingError, match=r"must lie in \[1, 32\] for multikey"):
        make(tiny_tokenizer, num_needles=33, kind="multikey")
    with pytest.raises(SettingError, match=r"must lie in \[1, 10\] for facts"):
        make(tiny_tokenizer, num_needles=11, kind="facts")
