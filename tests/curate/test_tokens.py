"""What views read: forms that must be equal, and forms that must not."""

import numpy as np

from burnish.curate.tokens import Coder, Stemmer, characters, plain, stem


def test_one_normal_form():
    assert plain("\ufeffÉcris  un\r\nMot") == plain("E\u0301cris un mot") == "écris un mot"
    assert "".join(map(chr, characters("A\tb"))) == "a b"
    assert len(characters("写一个函数")) == 5


def test_renamed_code_has_the_same_tokens():
    coder = Coder()
    one, other = "def f(xs):\n    return xs[0] + 12", "def g( values ) :\n  return values[7]+3"
    assert coder(one).tolist() == coder(other).tolist()
    assert coder(one).tolist() != coder(one.replace("+", "-")).tolist()
    assert coder("return x").tolist() != coder("y x").tolist()
    assert coder("élan").tolist() == coder("x").tolist()
    assert (coder(one) > 0).all()


def test_words_inside_of_names():
    stemmer = Stemmer()
    assert set(stemmer("hasCloseElements")) == set(stemmer("has_close_element"))
    assert stemmer("def return the").tolist() == [0, 0, 0]
    assert (stemmer("写一个函数") > 0).all()
    assert np.array_equal(stemmer("words"), stemmer("words"))


def test_stems():
    assert [stem(w) for w in ("elements", "sorting", "sorted", "is", "bus")] == [
        "element", "sort", "sort", "is", "bus",
    ]  # fmt: skip
