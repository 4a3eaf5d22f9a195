"""What a run was made with: code, machine and package versions. Nothing heavy is imported."""

import hashlib
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import burnish

PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "gguf", "peft"),
    *("numpy", "scipy", "pydantic", "datasets", "pyarrow", "reasoning-gym", "tree-sitter"),
    *("ray", "vllm"),
)
GIT_LIMIT_S = 10


def package_folder() -> Path:
    """The folder of the burnish package that is running."""
    return Path(burnish.__file__).parent


def code_hash() -> str:
    """sha256 [hex] over the names and bytes of the package's files: Python, C, weights, templates.

    What Python compiled is left out.
    Source: ours. Oracle: tests/base/test_provenance.py::test_code_hash_sees_every_file
    """
    root, digest = package_folder(), hashlib.sha256()
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in sorted(files):
        body = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(body)}\0".encode() + body)
    return digest.hexdigest()


def git_state() -> dict[str, Any] | None:
    """Commit of the running source and whether it was edited since; None outside a checkout."""
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None  # installed, perhaps inside somebody else's checkout
    commit, status = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    return None if commit is None else {"commit": commit, "dirty": bool(status)}


def command_line(words: Sequence[str]) -> str:
    """The command of a run as a line to paste; a single word is a call of Python, as it stands.

    Source: ours. Oracle: tests/base/test_provenance.py::test_a_command_can_be_pasted
    """
    return words[0] if len(words) == 1 else shlex.join(words)


def host() -> dict[str, Any]:
    """The machine: processor, cores this process may use, memory [bytes], platform."""
    return {
        "cpu": _cpu_model(),
        "num_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "platform": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Versions of Python, burnish and those important packages that are installed."""
    found = {"python": platform.python_version(), "burnish": burnish.__version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return found


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(package_folder()), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_LIMIT_S, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None  # no git on this machine: the code hash still names the source
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
