"""Words by running sums against `str.split`."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.curate import words as module
from burnish.curate.words import LAST_SPACE, WordHasher

TEXT = st.text(st.sampled_from("ab \n\t\x0b\x1c\u00a0\u3000é\ud800\U0001f600"), max_size=13)


def check_words(texts):
    hashes, counts = WordHasher()(texts)
    words = [text.split() for text in texts]
    assert counts.tolist() == [len(some) for some in words]
    known, flat = {}, [word for some in words for word in some]
    assert len(hashes) == len(flat)
    for word, value in zip(flat, hashes.tolist(), strict=True):
        assert known.setdefault(word, value) == value
    assert len(set(known.values())) == len(known)


@given(st.lists(TEXT, max_size=7))
def test_words_are_those_of_split(texts):
    check_words(texts)


def test_every_white_space_of_unicode():
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    assert max(map(ord, spaces)) == LAST_SPACE
    check_words([f"a{space}b" for space in spaces])


def test_a_word_has_one_hash_in_every_call():
    hasher = WordHasher()
    (alone,), _ = hasher(["wörd"])
    later, _ = hasher(["some others and a wörd", "x"])
    assert later[4] == alone != later[3]
    ascii_only, _ = hasher(["word"])
    beside, _ = hasher(["é word"])
    assert ascii_only[0] == beside[1]


def test_no_text_and_no_word():
    for texts in ([], [""], ["", " \n"]):
        hashes, counts = WordHasher()(texts)
        assert (len(hashes), counts.tolist()) == (0, [0] * len(texts))


def test_planted_hash_without_order(monkeypatch):
    for name in ("MULTIPLIER", "INVERSE"):
        monkeypatch.setattr(module, name, module.np.uint64(1))
    with pytest.raises(AssertionError):
        check_words(["ab ba"])
