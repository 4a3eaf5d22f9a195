"""Easy questions have one right end, and depend on the seed alone."""

import pytest

from burnish.data.cloze import FAMILIES, KINDS, draw_cloze


@pytest.mark.parametrize("family", FAMILIES)
def test_questions_have_one_right_end(family: str) -> None:
    asked = draw_cloze(family, 30, seed=3)
    assert len({(one.text, one.ends) for one in asked}) == len(asked) == 30
    for one in asked:
        assert one.family == family and len(set(one.ends)) == len(one.ends)
        assert one.ends.count(one.answer) == 1
        assert all(end.startswith(" ") and end.strip() for end in one.ends)
    assert asked == draw_cloze(family, 30, seed=3) != draw_cloze(family, 30, seed=4)
    assert len({one.ends.index(one.answer) for one in asked}) > 1  # its place tells nothing


def test_answers_follow_from_the_texts() -> None:
    kind_of = {f" {word}": kind for kind, words in KINDS.items() for word in words}
    for one in draw_cloze("kind", 30, seed=1):
        assert kind_of[" " + one.text.split('"')[1]] == one.answer.strip()
    for one in draw_cloze("series", 30, seed=1):
        shown = {kind_of[f" {word}"] for word in one.text.rstrip(",").split(", ")}
        assert [end for end in one.ends if {kind_of[end]} == shown] == [one.answer]
    for one in draw_cloze("repeat", 30, seed=1):
        first, again = one.text.split(". Once more, in the same order: ")
        assert first.startswith(f"{again}{one.answer}")


def test_fewer_where_there_are_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.data import cloze

    one = draw_cloze("kind", 1, seed=0)[0]
    monkeypatch.setitem(cloze.FAMILIES, "kind", lambda draw: one)
    assert draw_cloze("kind", 5, seed=0) == [one]
