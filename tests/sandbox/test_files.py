"""`burnish sandbox detect`, as a user calls it."""

import json

from burnish.sandbox.files import detect_files


def test_detect_prints_its_keys(sandbox_command, small_program):
    done = sandbox_command("detect", small_program, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["path"] == str(small_program) and found["language"] == "python"
    assert 0.5 < found["confidence"] <= 1
    assert "python" in sandbox_command("detect", small_program).stdout


def test_detect_of_several_files(sandbox_command, small_program, tmp_path):
    other = tmp_path / "a.lua"
    other.write_text("local x = 1\nprint(x)\n")
    found = json.loads(sandbox_command("detect", small_program, other, "--json").stdout)
    assert [row["language"] for row in found["files"]] == ["python", "lua"]
    assert [row["language"] for row in detect_files([small_program, other])] == ["python", "lua"]


def test_files_without_text_have_no_language(sandbox_command, small_program, tmp_path):
    (tmp_path / "empty.py").write_text(" \n")
    (tmp_path / "true").write_bytes(b"\x7fELF\0\0\1" * 100)
    done = sandbox_command(
        "detect", tmp_path / "empty.py", tmp_path / "true", small_program, "--json"
    )
    rows = json.loads(done.stdout)["files"]
    assert [row["language"] for row in rows] == [None, None, "python"]
    assert [row["reason"] for row in rows] == ["it is empty", "it holds bytes, no text", ""]
    assert done.exit_code == 1
    assert "not clear: it is empty" in sandbox_command("detect", tmp_path / "empty.py").stdout
