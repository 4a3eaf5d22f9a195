"""The launcher: a small C program that isolates, watches and ends one job.

It is compiled once, with the machine's `cc`, into the cache folder, under the hash of its source.
"""

import functools
import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from burnish.models.cache import cache_folder
from burnish.sandbox.errors import IsolationError

SOURCE = Path(__file__).parent
COMPILER_TIMEOUT_S = 120.0
FLAGS = ("-std=gnu11", "-O2", "-Wall")


@functools.cache
def launcher_command() -> tuple[str, ...]:
    """The command of the launcher. Raises: IsolationError, where nothing compiles it."""
    compiled = compiled_launcher()
    if compiled is None:
        rule, remedy = "could not be compiled", "apt-get install gcc libc6-dev"
        raise IsolationError("launcher", os.environ.get("CC", "cc"), rule, remedy=remedy)
    return (str(compiled),)


def compiled_launcher() -> Path | None:
    """The compiled launcher, from the cache or made now; None: no compiler, or it failed."""
    sources = sorted(SOURCE.glob("*.[ch]"))
    content = b"".join(path.name.encode() + path.read_bytes() for path in sources)
    name = f"launcher-{hashlib.sha256(content).hexdigest()[:16]}"
    path = cache_folder() / "sandbox" / name
    if _is_ours(path):
        return path
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    files = [str(s) for s in sources if s.suffix == ".c"]
    for linking in (["-static"], []):  # a static program starts faster
        if _compile([compiler, *FLAGS, *linking], files, path):
            return path
    return None


def _compile(command: list[str], files: list[str], path: Path) -> bool:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [*command, "-o", str(temporary), *files],
            capture_output=True,
            timeout=COMPILER_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            return False
        temporary.chmod(0o755)
        os.replace(temporary, path)
        return True
    except (OSError, subprocess.TimeoutExpired):
        return False  # an unwritable cache is as good as no compiler; `doctor` shows which
    finally:
        temporary.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    """Whether the file exists and no other user could have written it."""
    try:
        info = path.stat()
    except OSError:
        return False
    return info.st_uid in {0, os.geteuid()} and not info.st_mode & 0o022
