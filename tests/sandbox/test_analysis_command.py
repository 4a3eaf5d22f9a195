"""`burnish sandbox detect` and `analyze`, as a user calls them."""

# ruff: noqa: E501 - programs stand on one line

import json

import pytest
from typer.testing import CliRunner

from burnish.cli import sandbox_analysis
from burnish.sandbox.files import analysis_tables, analyze_file, detect_files

CODE = "import subprocess\nn = int(input())\nif n > 1:\n    subprocess.call('ls', shell=True)\nprint(n)\n"


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(sandbox_analysis.app, list(map(str, words)))


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "main.py"
    path.write_text(CODE)
    (tmp_path / "in.txt").write_text("1\n")
    return path


def test_detect_prints_its_keys(run, program):
    done = run("detect", program, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["path"] == str(program) and found["language"] == "python"
    assert 0.5 < found["confidence"] <= 1
    assert "python" in run("detect", program).stdout


def test_detect_of_several_files(run, program, tmp_path):
    other = tmp_path / "a.lua"
    other.write_text("local x = 1\nprint(x)\n")
    found = json.loads(run("detect", program, other, "--json").stdout)
    assert [row["language"] for row in found["files"]] == ["python", "lua"]
    assert [row["language"] for row in detect_files([program, other])] == ["python", "lua"]


def test_analyze_prints_the_five_categories(run, program, tmp_path, sandbox_cache):
    sarif = tmp_path / "out.sarif"
    done = run("analyze", program, "--stdin", tmp_path / "in.txt", "--sarif", sarif, "--json")
    found = json.loads(done.stdout)
    assert {"basic", "smells", "bugs", "coverage", "efficiency"} <= set(found)
    assert found["coverage"]["missed"] == [4]
    assert found["efficiency"][0]["lines"][0]["hits"] == 1
    assert json.loads(sarif.read_text())["version"] == "2.1.0"
    assert done.exit_code == bool(found["bugs"])


def test_tables_are_for_people(program, tmp_path, sandbox_cache):
    analysis = analyze_file(program, stdins=[tmp_path / "in.txt"])
    titles = [title for title, _, _ in analysis_tables(analysis)]
    assert any(title.startswith("Coverage 0.80") for title in titles)
    assert all(
        len(row) == len(columns) for _, columns, rows in analysis_tables(analysis) for row in rows
    )
