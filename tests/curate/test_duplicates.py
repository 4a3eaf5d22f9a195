"""Near-duplicates against brute force over sets of characters."""

import pytest

from burnish.base.rng import stream
from burnish.curate import duplicates as module
from burnish.curate.duplicates import bands, duplicates, jaccard, shingles

LINE = "open a file count vowels each line then print reverse merge two lists"
WORDS = tuple(LINE.split())


def texts(num=160):
    rng = stream(7, "dedup")
    found = []
    for i in range(num):
        if i % 3 and found:
            words = found[int(rng.integers(0, len(found)))].split()
            words[int(rng.integers(0, len(words)))] = WORDS[int(rng.integers(0, len(WORDS)))]
        else:
            words = [WORDS[k] for k in rng.integers(0, len(WORDS), 14)]
        found.append(" ".join(words))
    return found


def grams_of(text):
    text = " ".join(text.split()).lower()
    return {text[i : i + 5] for i in range(max(len(text) - 4, 1))}


def brute(rows, least):
    """Kept rows: no earlier kept row has at least this index."""
    kept = []
    for i, text in enumerate(rows):
        own = grams_of(text)
        near = [len(own & grams_of(rows[k])) / len(own | grams_of(rows[k])) for k in kept]
        if not any(index >= least for index in near):
            kept.append(i)
    return kept


def check_brute():
    rows = texts()
    for least in (0.6, 0.8):
        found = duplicates(rows, least)
        assert [i for i in range(len(rows)) if i not in found] == brute(rows, least)


def test_equals_brute_force():
    check_brute()


def test_planted_wide_bands(monkeypatch):
    monkeypatch.setattr(module, "bands", lambda least: (64, 2))
    with pytest.raises(AssertionError):
        check_brute()


def test_bands_find_pairs_at_the_threshold():
    for least in (0.5, 0.7, 0.8, 0.95):
        rows, num = bands(least)
        assert (1 - least**rows) ** num <= 0.01 and rows * num <= 128


def test_known_cases():
    short = ["yes", "no", "yes", "not sure at all"]
    assert set(duplicates(short)) == {2}
    assert set(duplicates(["return", "return", "pass", "def f():\n    return 1\n"])) == {1}
    forms = [
        "Écris une fonction qui compte les caractères du mot déjà",
        "E\u0301cris une fonction qui compte les caracte\u0300res du mot de\u0301ja\u0300",
        "写一个函数, 返回列表的最大值",
        "写一个程序, 读取文件并打印行数",
    ]
    assert set(duplicates(forms)) == {1}
    wrapped = ["a farmer has 12 crates", "\ufeffa farmer\r\nhas 12\r\ncrates"]
    assert duplicates(wrapped)[1].jaccard == 1.0


def test_only_equal_texts():
    assert set(duplicates(["abc def ghi", "abc def ghi!", "ABC  def ghi"], 1.0)) == {2}


def test_jaccard():
    assert jaccard(shingles("abcdef"), shingles("abcdeg")) == pytest.approx(1 / 3)
    assert jaccard(shingles(""), shingles("")) in (0.0, 1.0)
