"""Files, folders and PDFs as one text."""

from pathlib import Path

import pytest

from burnish.base.errors import InputError, MissingExtraError, MissingFileError
from burnish.stream.document import Document, read_documents


def test_places(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\nthree", encoding="utf-8")
    (tmp_path / "b.md").write_text("four\r\nfive 🙂", encoding="utf-8")
    found = read_documents([tmp_path / "a.txt", tmp_path / "b.md"])
    assert found.text == "one\ntwo\nthree\n\nfour\nfive 🙂"
    for word, name, line in (("one", "a.txt", 1), ("three", "a.txt", 3), ("five", "b.md", 2)):
        place = found.place(found.text.index(word))
        assert place == {"file": str(tmp_path / name), "line": line}
    assert Document.from_dict(found.text, found.to_dict()) == found
    assert read_documents([tmp_path]) == found


def test_folders_leave_out_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("no")
    (tmp_path / "x.bin").write_bytes(b"a\0b")
    (tmp_path / "y.py").write_text("yes")
    assert read_documents([tmp_path]).text == "yes"


def test_pages_of_a_pdf() -> None:
    text = "first\fsecond"
    found = Document.from_dict(text, [["a.pdf", 0, len(text), True]])
    assert found.place(text.index("second")) == {"file": "a.pdf", "page": 2}


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"na\xc3")
    with pytest.raises(InputError, match=r"must be UTF-8 \(byte 2\)"):
        read_documents([tmp_path / "bad.txt"])
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(InputError, match="must not be empty"):
        read_documents([tmp_path / "empty.txt"])
    with pytest.raises(MissingFileError, match="does not exist"):
        read_documents([tmp_path / "gone.txt"])
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 broken")
    with pytest.raises((InputError, MissingExtraError), match=r"pypdf|cannot be read as PDF"):
        read_documents([tmp_path / "a.pdf"])
