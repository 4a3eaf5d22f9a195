"""The hash of the code sees every file of the package."""

import platform
import shlex
import subprocess
from pathlib import Path

import pytest

from burnish.base import provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a module, a kernel, weights, and what Python compiled."""
    for name in ("a.py", "kernels/b.c", "weights/c.npz", "__pycache__/a.pyc"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    monkeypatch.setattr(provenance, "package_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["a.py", "kernels/b.c", "weights/c.npz"])
def test_code_hash_sees_every_file(name: str, package: Path) -> None:
    before = provenance.code_hash()
    assert before == provenance.code_hash()
    (package / name).write_text("edited")
    assert provenance.code_hash() != before


def test_a_new_name_counts_and_what_python_compiled_does_not(package: Path) -> None:
    before = provenance.code_hash()
    (package / "__pycache__" / "a.pyc").write_text("edited")
    assert provenance.code_hash() == before
    (package / "a.py").rename(package / "d.py")
    assert provenance.code_hash() != before


def test_the_order_of_files_on_the_disk_does_not_count(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, found = provenance.code_hash(), sorted(package.rglob("*"), reverse=True)
    monkeypatch.setattr(Path, "rglob", lambda *_: iter(found))
    assert provenance.code_hash() == before


def test_the_package_is_the_one_that_runs() -> None:
    assert (provenance.package_folder() / "base" / "provenance.py").samefile(provenance.__file__)


def test_planted_hash_of_python_alone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda path, _: exact(path, "*.py"))
    for name in ("kernels/b.c", "weights/c.npz"):
        with pytest.raises(AssertionError):
            test_code_hash_sees_every_file(name, package)


def test_a_command_can_be_pasted() -> None:
    words = ["burnish", "critique", "bench", "chain:sums?size=4&steps=2", "--set", "a=b c"]
    line = provenance.command_line(words)
    assert shlex.split(line) == words and "'chain:sums?size=4&steps=2'" in line
    assert provenance.command_line(["burnish.arch.show('x y')"]) == "burnish.arch.show('x y')"
    assert provenance.command_line(()) == ""


def test_git_state_names_the_commit_and_an_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(provenance, "package_folder", lambda: tmp_path)
    (tmp_path / "__init__.py").write_text("")
    assert provenance.git_state() is None  # no checkout
    git("init", "-q")
    assert provenance.git_state() is None  # in a checkout that does not track it
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert provenance.git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "__init__.py").write_text("1\n")
    assert provenance.git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": True}


def test_the_processor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "cpuinfo"
    monkeypatch.setattr(provenance, "Path", lambda _: told)
    other = platform.processor() or platform.machine()
    assert provenance._cpu_model() == other  # no such file
    told.write_text("flags : x\n")
    assert provenance._cpu_model() == other
    told.write_text("vendor_id : x\nmodel name\t: Fast 9: v2 \nmodel name : Slow\n")
    assert provenance._cpu_model() == "Fast 9: v2"
