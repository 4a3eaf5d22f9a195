"""Text with and without a UTF-8 form, and the JSON that people's files hold."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.base.canonical import content_hash, dump_json
from burnish.base.errors import InputError
from burnish.base.log import RecordLog
from burnish.base.records import read_json, read_records
from burnish.base.text import checked_text, is_well_formed, well_formed

ANY = st.text(st.characters(codec=None, categories=None))  # lone surrogates too


@given(ANY)
def test_every_text_gets_a_utf_8_form_and_good_ones_stay(text):
    found = well_formed(text)
    assert is_well_formed(found) and len(found) <= len(text)
    assert (found == text) == is_well_formed(text)
    assert well_formed({text: [text, 1]}) == {found: [found, 1]}


def test_halves_that_belong_together_become_their_character():
    assert well_formed("a\ud83d\ude00b\ud83d") == "a😀b\ufffd"


@pytest.mark.parametrize("given", ["a\udce9", b"caf\xe9"])
def test_texts_of_users_are_checked(given):
    with pytest.raises(InputError, match="prompt must be valid UTF-8"):
        checked_text("prompt", given)
    assert checked_text("prompt", "é".encode()) == checked_text("prompt", "é") == "é"


def test_a_wrong_byte_is_shown_with_what_stands_around_it():
    text = b"0123456789" * 4
    for before, shown in ((b"ab", "b'ab\\xe9"), (text, "b'" + "0123456789" * 2 + "\\xe9")):
        with pytest.raises(InputError, match=re.escape(f"got {shown}{text[:20].decode()}'")):
            checked_text("prompt", before + b"\xe9" + text)


def test_rows_with_lone_surrogates_are_read_hashed_and_written(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": "x\\ud800y"}\n{"a": "\\ud83d\\ude00"}\n')
    rows = read_records(file)
    assert rows == [{"a": "x\ufffdy"}, {"a": "😀"}]
    assert content_hash({"a": "\ud800"}) == content_hash({"a": "\ufffd"})
    with RecordLog(tmp_path / "log.jsonl") as log:
        log.append({"a": "\udc80"})
        assert log.read() == [{"a": "\ufffd"}]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_byte_order_mark_is_no_text(tmp_path, name):
    file, row = tmp_path / name, {"a": 1}
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps([row] if name == "rows.json" else row).encode())
    assert read_records(file) == [row]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[" * 100_000, "must not be nested so deeply"),
        ('[{"a": "\xe9"}]', "UTF-8"),
        ('[{"a": 1}', "must be JSON"),
    ],
)
def test_what_is_no_json_is_one_line_that_names_the_file(tmp_path, name, content, says):
    file = tmp_path / name
    inside = content[1:-1] if name == "rows.jsonl" and content.startswith("[{") else content
    file.write_bytes(inside.encode("latin-1"))
    with pytest.raises(InputError, match=says) as caught:
        read_records(file)
    assert str(file) in str(caught.value) and len(str(caught.value)) <= 400


def test_numbers_that_json_does_not_have_are_read_and_never_written(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": NaN, "b": -Infinity}\n')
    (row,) = read_records(file)
    assert math.isnan(row["a"]) and row["b"] == -math.inf
    for value in row.values():
        with pytest.raises(InputError, match="must contain finite numbers"):
            content_hash({"a": value})


def test_values_too_deep_to_write_are_told():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError, match=r"^row must not be nested so deeply, got 'list'"):
        dump_json(value, name="row")


def test_a_settings_file_with_a_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf{}")
    assert read_json(tmp_path / "a.json") == {}
