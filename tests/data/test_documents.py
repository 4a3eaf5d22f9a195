"""`documents`: rows with documents become tasks whose prompts show both ends."""

import json

import pytest

from burnish.base.errors import InputError, MissingFileError, SettingError
from burnish.data.sources import documents as source
from burnish.data.sources import load_tasks, parse_source


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def check_rows(tmp_path):
    long = "".join(chr(97 + i % 26) for i in range(101))
    rows = [{"document": long, "question": "Which?", "answer": "seven"},
            {"document": "short", "question": "How many?", "answer": "7", "group": "own",
             "checker": "number"}]  # fmt: skip
    path = write(tmp_path / "docs.jsonl", *rows)
    one, two = load_tasks(f"documents:{path}?chars=11", seed=0)
    assert one.prompt == f"abcdef\n...\n{long[-5:]}\n\nWhich?"
    assert one.metadata == {"document": long, "question": "Which?"}
    assert (one.group, one.checker, one.answer) == ("docs", "exact", "seven")
    assert two.prompt == "short\n\nHow many?" and (two.group, two.checker) == ("own", "number")
    assert parse_source(f"documents:{path}").chars == 4000


def test_rows_are_tasks_with_the_middle_cut_out(tmp_path):
    check_rows(tmp_path)


def test_planted_source_that_shows_the_beginning_only(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "shortened", lambda text, num: text[:num])
    with pytest.raises(AssertionError):
        check_rows(tmp_path)


@pytest.mark.parametrize(
    ("spec", "row", "error", "says"),
    [
        ("documents:{}", {"document": "d", "question": "q"}, InputError, "answer must be a text"),
        ("documents:{}", {"document": " ", "question": "q", "answer": "a"}, InputError, ":1: docu"),
        ("documents:{}?chars=1", {}, SettingError, "must be at least 2"),
        ("documents:{}?chars=many", {}, SettingError, "option chars"),
        ("documents:{}?words=3", {}, SettingError, "option words"),
        ("{}", {"document": "d", "question": "q", "answer": "a"}, InputError, "Name documents:"),
        ("documents:gone-{}", {}, MissingFileError, "gone-docs"),
    ],
)
def test_wrong_rows_and_options(spec, row, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "docs.jsonl", row)
    with pytest.raises(error, match=says):
        load_tasks(spec.format("docs.jsonl"), seed=0)
