"""Spans are where they say."""

from fixtures.curating import BRACKETS, DEEPEST, ODD

from burnish.curate.evidence import spans_of
from burnish.curate.samples import read_sample
from burnish.curate.views import static_views

ITEMS = [ODD, BRACKETS]
CHARACTERS, WORDS, CODE = static_views(ITEMS)


def test_spans_are_where_they_say():
    first = "thanks, next:\r\n  " + BRACKETS.prompt.replace(" ", "\n ") + " Please."
    talk = [("user", "hi"), ("assistant", "Hello"), ("user", first), ("assistant", DEEPEST)]
    row = {"messages": [{"role": r, "content": t} for r, t in talk]}
    sample = read_sample(row, 1)
    (span, *_) = spans_of(sample, CHARACTERS, 1)
    assert span["message"] == 2 and span["text"] == first[span["start"] : span["end"]]
    assert span["text"].split() == BRACKETS.prompt.split()
    (code, *_) = spans_of(sample, CODE, 1)
    assert (code["message"], code["text"]) == (3, DEEPEST.strip()[:240])
    assert talk[3][1][code["start"] : code["end"]].strip() == DEEPEST.strip()
    assert spans_of(sample, WORDS, 1) == []


def test_only_the_items_own_grams_count():
    sample = read_sample({"text": BRACKETS.prompt}, 1)
    assert spans_of(sample, CHARACTERS, 0) == []
    assert spans_of(sample, CHARACTERS, 1)[0]["end"] == len(BRACKETS.prompt)


def test_blank_and_empty_texts():
    assert spans_of(read_sample({"text": " \n"}, 1), CHARACTERS, 1) == []
    assert spans_of(read_sample({"text": ""}, 1), CODE, 1) == []
