"""Beginnings of prompts: which are taken, which a prompt can use, and what is kept of them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.engine.prefixes import MOST_KEPT, NUM_RECENT, Prefixes, shared_prefixes
from burnish.engine.session import LEAST_ROWS as ROWS


class Slots:
    """A session that only remembers what its slots hold."""

    def __init__(self):
        self.held = {}

    def cuts(self, *_):
        raise AssertionError("no test here reads a text")

    prefill = step = move = cuts

    def clear(self, slot):
        self.held[slot] = None

    def restore(self, slot, state):
        self.held[slot] = state

    def snapshot(self, slot):
        return ("kept", self.held[slot])


def run(first, length):
    """A stretch of tokens; stretches with different first tokens share none."""
    return tuple(range(1000 * first, 1000 * first + length))


HEADER, A, B = run(1, 2 * ROWS), run(2, 3 * ROWS), run(3, 4 * ROWS)
ONE, TWO = run(5, ROWS), run(6, 2 * ROWS)


def test_all_share_a_header_and_groups_share_more():
    prompts = [HEADER + A + ONE, HEADER + A + TWO, HEADER + B + ONE, HEADER + B + TWO]
    found = shared_prefixes(prompts)
    assert set(found) == {HEADER, HEADER + A, HEADER + B}
    saved = {HEADER: 3 * len(HEADER), HEADER + A: len(A), HEADER + B: len(B)}
    assert found == sorted(found, key=lambda one: -saved[one])


def test_a_piece_of_each_prompt_is_left():
    assert shared_prefixes([HEADER, HEADER + ONE]) == [HEADER[:-ROWS]]
    assert shared_prefixes([HEADER, HEADER[:-1]]) == [] or ROWS > 1
    assert shared_prefixes([HEADER[:ROWS], HEADER]) == []
    assert shared_prefixes([]) == []
    assert shared_prefixes([HEADER]) == shared_prefixes([HEADER, HEADER]) == []


@pytest.mark.parametrize(("length", "taken"), [(ROWS - 1, False), (ROWS, True)])
def test_a_short_beginning_is_not_worth_it(length, taken):
    prompts = [run(1, length) + A, run(1, length) + B]
    assert shared_prefixes(prompts) == ([run(1, length)] if taken else [])
    longer = [HEADER + run(4, length) + tail for tail in (A, B)] + [HEADER + B]
    assert (HEADER + run(4, length) in shared_prefixes(longer)) is taken


def test_the_most_saving_ones_are_kept():
    groups = {number: run(20 + number, ROWS + number) for number in range(MOST_KEPT + 3)}
    prompts = [head + tail for head in groups.values() for tail in (A, B)]
    found = shared_prefixes(prompts)
    assert found == [groups[n] for n in sorted(groups, reverse=True)[:MOST_KEPT]]


tokens = st.lists(st.integers(0, 1), min_size=0, max_size=6 * ROWS).map(tuple)


@given(st.lists(tokens, max_size=12))
def test_taken_beginnings_are_shared_by_two_that_can_use_them(prompts):
    for one in shared_prefixes(prompts):
        using = {p for p in prompts if p[: len(one)] == one and len(p) >= len(one) + ROWS}
        assert len(one) >= ROWS and len(using) > 1
        ends = {p[len(one) : len(one) + 1] for p in using if len(p) > len(one) + ROWS}
        assert len(ends) > 1 or any(len(p) == len(one) + ROWS for p in using)


def made(*prompts):
    prefixes = Prefixes(Slots())
    prefixes.share(prompts)
    return prefixes


def keep(prefixes, prompt, slot=0):
    """Read what a prompt's beginnings are, shortest first, as the loop does."""
    for known, own in prefixes.unread([prompt]):
        prefixes.open(slot, own)
        prefixes.keep(known, slot)


def test_a_prompt_uses_the_longest_that_fits():
    prefixes = made(HEADER + A + ONE, HEADER + A + TWO, HEADER + B + ONE)
    assert prefixes.of(HEADER + A + ONE).tokens == HEADER + A
    assert prefixes.of(HEADER + A + ONE[:-1]).tokens == HEADER
    assert prefixes.of(HEADER + B + TWO).tokens == HEADER
    assert prefixes.of(B) is None and prefixes.of(HEADER) is None


def test_shorter_ones_are_read_first_and_then_extended():
    prefixes = made(HEADER + A + ONE, HEADER + A + TWO, HEADER + B + ONE)
    prompt = HEADER + A + ONE
    unread = prefixes.unread([prompt, HEADER + B + ONE])
    assert [one.tokens for one, _ in unread] == [HEADER, HEADER + A]
    assert prefixes.num_left(prompt) == len(prompt)
    assert prefixes.open(0, prompt) == 0 and prefixes._session.held[0] is None
    keep(prefixes, prompt)
    assert prefixes.unread([prompt]) == []
    assert prefixes.num_left(prompt) == len(ONE)
    assert prefixes.open(1, prompt) == len(HEADER + A)
    assert prefixes._session.held[1] == ("kept", ("kept", None))  # read from the header on


def test_what_was_read_is_taken_over():
    prefixes = made(HEADER + ONE, HEADER + TWO)
    keep(prefixes, HEADER + ONE)
    prefixes.share([HEADER + A + ONE, HEADER + A + TWO])
    (known,) = [one for one, _ in prefixes.unread([HEADER + A + ONE])]
    assert (known.tokens, known.read) == (HEADER + A, HEADER)
    assert prefixes.num_left(HEADER + A + ONE) == len(A + ONE)
    prefixes.share([B + ONE, B + TWO])
    assert prefixes.num_left(B + ONE) == len(B + ONE)
    assert prefixes.num_left(HEADER + ONE) == len(HEADER + ONE)  # replaced, no longer kept


def test_the_next_turn_extends_the_last():
    prefixes = Prefixes(Slots())
    turns = list(itertools.accumulate([HEADER + ONE, A + ONE, B + ONE]))
    prefixes.learn(turns[0])
    assert prefixes.of(turns[1]) is None
    prefixes.learn(turns[1])
    assert prefixes.of(turns[1]).tokens == turns[0]
    prefixes.learn(turns[2])
    assert prefixes.of(turns[2]).tokens == turns[1]
    before = prefixes.of(turns[2])
    for more, kept in ((ROWS - 1, True), (ROWS, False)):  # barely longer: the beginning stays
        prefixes.learn(turns[2][: len(turns[1]) + more] + run(90 + more, 2 * ROWS))
        assert (prefixes.of(turns[2]) is before) is kept


def test_old_prompts_are_forgotten():
    for others, known in ((NUM_RECENT - 1, True), (NUM_RECENT, False)):
        prefixes = Prefixes(Slots())
        prefixes.learn(HEADER + ONE)
        for number in range(others):
            prefixes.learn(run(50 + number, 3 * ROWS))
        prefixes.learn(HEADER + TWO)
        assert (prefixes.of(HEADER + TWO) is not None) is known
