"""Compiling: once, into the cache, and with a reason where it cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from burnish.kernels import build as module
from burnish.kernels.build import Built, build

HASTY = ("-O0", *module.FLAGS[1:])  # what is tested is who compiles, not what comes out


@pytest.fixture
def fresh_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a `build` that remembers nothing."""
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "build", build.__wrapped__)
    monkeypatch.setattr(module, "FLAGS", HASTY)
    return tmp_path


def compiled(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "kernels").glob("*"))


def test_it_is_compiled_once(fresh_build: Path) -> None:
    first: Built = module.build()
    if first.library is None:
        pytest.skip("needs a C compiler for burnish's kernels")
    (name,) = compiled(fresh_build)
    made = (fresh_build / "kernels" / name).stat().st_mtime_ns
    assert module.build().library is not None
    assert (fresh_build / "kernels" / name).stat().st_mtime_ns == made


def test_without_a_compiler_there_is_a_reason(
    fresh_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(fresh_build))
    assert module.build() == Built(library=None, reason="no C compiler (cc) was found")


def test_a_compiler_that_fails_is_quoted(
    fresh_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = fresh_build / "cc"
    broken.write_text("#!/bin/sh\necho 'cc: no such option' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    found = module.build()
    assert found.library is None and "no such option" in found.reason
    assert not any(name.endswith(".so") for name in compiled(fresh_build))


def test_it_can_be_turned_off(fresh_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_KERNELS", "0")
    found = module.build()
    assert found.library is None and "BURNISH_KERNELS" in found.reason
    assert not (fresh_build / "kernels").exists()


def test_two_processes_at_once_leave_one_good_file(fresh_build: Path) -> None:
    code = (
        "import torch; from burnish.kernels import build as module;"
        f"module.FLAGS = {HASTY!r}; print(module.build().reason)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert said[0] == said[1]
    assert len(compiled(fresh_build)) <= 1
