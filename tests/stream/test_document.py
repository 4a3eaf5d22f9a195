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


def test_folders_leave_out_indexes(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("yes")
    for name in ("tokens-0.npz", "text-0.txt", "manifest.json"):
        (tmp_path / "index" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "index" / name).write_text("no")
    assert read_documents([tmp_path]).text == "yes"


def test_pages_of_a_pdf() -> None:
    text = "first\fsecond"
    found = Document.from_dict(text, [["a.pdf", 0, len(text), True]])
    assert found.place(text.index("second")) == {"file": "a.pdf", "page": 2}


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"na\xc3")
    with pytest.raises(InputError, match=r"must be UTF-8 \(byte 2\)"):
        read_documents([tmp_path / "bad.txt"])
    (tmp_path / "wide.txt").write_bytes("wide".encode("utf-16-le"))
    with pytest.raises(InputError, match="must be text in UTF-8, got 'a zero byte at 1'"):
        read_documents([tmp_path / "wide.txt"])
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(InputError, match="must not be empty"):
        read_documents([tmp_path / "empty.txt"])
    with pytest.raises(MissingFileError, match="does not exist"):
        read_documents([tmp_path / "gone.txt"])
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 broken")
    with pytest.raises((InputError, MissingExtraError), match=r"pypdf|cannot be read as PDF"):
        read_documents([tmp_path / "a.pdf"])


def write_pdf(path: Path, pages: list[str]) -> Path:
    """A minimal PDF with a line of text on each page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    bodies = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for i, text in enumerate(pages):
        content = f"BT /F1 12 Tf 40 700 Td ({text}) Tj ET"
        font = "/Resources<</Font<</F1 3 0 R>>>>"
        size = "/MediaBox[0 0 600 800]"
        bodies.append(f"<</Type/Page/Parent 2 0 R{size}{font}/Contents {5 + 2 * i} 0 R>>")
        bodies.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    file, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(file))
        file += f"{number} 0 obj{body}endobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    count = len(bodies) + 1
    end = f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer<</Size {count}/Root 1 0 R>>\n"
    path.write_bytes(file + f"{end}startxref\n{len(file)}\n%%EOF".encode())
    return path


def test_a_pdf_is_read_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    found = read_documents([write_pdf(tmp_path / "a.pdf", ["seven boats left", "eight came"])])
    assert found.text.split("\f") == ["seven boats left", "eight came"]
    place = {"file": str(tmp_path / "a.pdf"), "page": 2}
    assert found.place(found.text.index("eight")) == place
