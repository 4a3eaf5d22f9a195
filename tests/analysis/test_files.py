"""`burnish sandbox analyze`, as a user calls it."""

import json

import pytest

from burnish.analysis.analyze import MAX_CHARACTERS
from burnish.analysis.files import analysis_tables, analyze_file
from burnish.base.errors import InputError
from burnish.sandbox.files import detect_files


def test_bytes_are_not_analysed(tmp_path):
    (tmp_path / "true").write_bytes(b"\x7fELF\0\0\1" * 100)
    with pytest.raises(InputError, match="must be text"):
        analyze_file(tmp_path / "true", language="c")


def test_what_is_too_long_is_not_analysed(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("x = 1\n" * (MAX_CHARACTERS // 5))
    assert detect_files([path])[0]["language"] == "python"
    with pytest.raises(InputError, match="at most 1048576 characters"):
        analyze_file(path)


def test_analyze_prints_the_five_categories(
    sandbox_command, small_program, tmp_path, sandbox_cache
):
    sarif = tmp_path / "out.sarif"
    done = sandbox_command(
        "analyze", small_program, "--stdin", tmp_path / "in.txt", "--sarif", sarif, "--json"
    )
    found = json.loads(done.stdout)
    assert {"basic", "smells", "bugs", "coverage", "efficiency"} <= set(found)
    assert found["coverage"]["missed"] == [4]
    assert found["efficiency"][0]["lines"][0]["hits"] == 1
    assert json.loads(sarif.read_text())["version"] == "2.1.0"
    assert done.exit_code == bool(found["bugs"])


def test_tables_are_for_people(small_program, tmp_path, sandbox_cache):
    analysis = analyze_file(small_program, stdins=[tmp_path / "in.txt"])
    titles = [title for title, _, _ in analysis_tables(analysis)]
    assert any(title.startswith("Coverage 0.80") for title in titles)
    assert all(
        len(row) == len(columns) for _, columns, rows in analysis_tables(analysis) for row in rows
    )
