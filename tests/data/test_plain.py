"""Plain files as documents, and the byte at which a file is no text."""

from types import SimpleNamespace

import pytest

from burnish.base.errors import InputError
from burnish.data import plain
from burnish.data.plain import check_text, plain_documents

TEXT = "\ufeffone\r\ntwo\n\n \n\nthree\r\n\nfour"


def read(path, unit):
    skipped = SimpleNamespace(num_line_ends=0)
    return list(plain_documents(path, unit, skipped)), skipped.num_line_ends


@pytest.mark.parametrize(
    ("unit", "documents"),
    [
        ("file", ["one\ntwo\n\n \n\nthree\n\nfour"]),
        ("lines", ["one", "two", "", " ", "", "three", "", "four"]),
        ("paragraphs", ["one\ntwo", "three", "four"]),
    ],
)
def test_units_of_a_file(unit, documents, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode())
    assert read(path, unit) == (documents, 2)


def test_a_file_without_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n \n")
    assert read(path, "paragraphs") == ([], 0)


@pytest.mark.parametrize(
    ("content", "place", "rule"),
    [
        (b"ab\0c", 2, "holds a NUL byte"), (b"\0", 0, "holds a NUL byte"),
        (b"abc\xffd", 3, "is not UTF-8"), (b"ab\xc3", 2, "ends inside a character of UTF-8"),
        (b"abc\xe2\x82", 3, "ends inside a character of UTF-8"),
        (b"abc\xe2\x82x", 3, "is not UTF-8"), (b"abcdefg\0", 7, "holds a NUL byte"),
        (b"abcdef\xffg", 6, "is not UTF-8"),
    ],
)  # fmt: skip
def test_the_byte_that_is_no_text(content, place, rule, tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    for size in (1 << 20, 4, 1):
        monkeypatch.setattr(plain, "BLOCK_BYTES", size)
        with pytest.raises(InputError, match=f"{rule}, got 'byte {place}'"):
            check_text(path)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1 << 20])
def test_characters_across_blocks(size, tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("aé€😀" * 5)
    monkeypatch.setattr(plain, "BLOCK_BYTES", size)
    check_text(path)
