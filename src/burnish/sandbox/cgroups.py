"""Control groups that may be used here: where jobs get a group of their own, and what is left."""

import contextlib
import os
import re
import secrets
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLER = "memory"  # of version 1; each further one costs a job more than it protects


def group_parents(root: Path = ROOT) -> tuple[str, ...]:
    """The folders in which the launcher may make a group for each job; empty: none.

    Groups are only ever made at the top, under our own name: the caller's own group may live in
    the same tree. Of version 1 only memory is used: processes are counted in the job's user
    namespace, and moving a process into one more group costs a millisecond.
    """
    if (root / "cgroup.controllers").is_file():
        enabled = _words(root / "cgroup.subtree_control")
        usable = {"memory", "pids"} <= enabled and _may_make(root)
        return (str(root),) if usable else ()
    memory = root / CONTROLLER
    usable = (memory / "cgroup.procs").is_file() and _may_make(memory)
    return (str(memory),) if usable else ()


def is_unified(parents: tuple[str, ...]) -> bool:
    """Whether the groups are of version 2, which counts processes and processor time as well."""
    return any(Path(parent).name != CONTROLLER for parent in parents)


def left_behind(root: Path = ROOT) -> list[Path]:
    """Groups of launchers that are gone; only a launcher that was killed leaves any behind."""
    folders = (root, root / CONTROLLER)
    found = [path for folder in folders for path in folder.glob("burnish-*") if path.is_dir()]
    return [path for path in found if not _is_alive(path.name)]


def sweep(root: Path = ROOT) -> int:
    """Remove empty groups that were left behind; return how many."""
    gone = 0
    for path in left_behind(root):
        with contextlib.suppress(OSError):  # still occupied, or somebody else's
            path.rmdir()
            gone += 1
    return gone


def _is_alive(name: str) -> bool:
    number = re.fullmatch(r"burnish-(\d+)", name)
    return number is not None and Path(f"/proc/{number[1]}").exists()


def _words(path: Path) -> set[str]:
    return set(path.read_text().split()) if path.is_file() else set()


def _may_make(folder: Path) -> bool:
    probe = folder / f"burnish-probe-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True
