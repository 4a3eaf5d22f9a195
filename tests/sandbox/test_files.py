"""`burnish sandbox detect`, as a user calls it."""

import json

import pytest
from typer.testing import CliRunner

from burnish.cli import sandbox_analysis
from burnish.sandbox.files import detect_files

CODE = "import subprocess\nn = int(input())\nif n > 1:\n    subprocess.call('ls', shell=True)\n"


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(sandbox_analysis.commands.app, list(map(str, words)))


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "main.py"
    path.write_text(CODE)
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


def test_files_without_text_have_no_language(run, program, tmp_path):
    (tmp_path / "empty.py").write_text(" \n")
    (tmp_path / "true").write_bytes(b"\x7fELF\0\0\1" * 100)
    done = run("detect", tmp_path / "empty.py", tmp_path / "true", program, "--json")
    rows = json.loads(done.stdout)["files"]
    assert [row["language"] for row in rows] == [None, None, "python"]
    assert [row["reason"] for row in rows] == ["it is empty", "it holds bytes, no text", ""]
    assert done.exit_code == 1
    assert "not clear: it is empty" in run("detect", tmp_path / "empty.py").stdout
