"""Compile the C files beside this one once, keep them in the cache, and load them."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from burnish.base.files import cache_folder

SOURCES = (
    *("lanes.h", "calls.h", "attention.h", "rows.c", "attention.c", "attention_pairs.c"),
    *("quantised.c", "products.c", "layers.c"),
)
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-std=gnu11")
TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Built:
    """The loaded library, or why there is none."""

    library: ctypes.CDLL | None
    reason: str


@functools.cache
def build() -> Built:
    """The kernels, compiled if they were not; without a compiler, the reason.

    `BURNISH_KERNELS=0` turns them off. Import torch first: the kernels share its threads.
    """
    if os.environ.get("BURNISH_KERNELS") == "0":
        return Built(library=None, reason="turned off by BURNISH_KERNELS=0")
    compiler = shutil.which(os.environ.get("CC") or "cc") or shutil.which("gcc")
    if compiler is None:
        return Built(library=None, reason="no C compiler (cc) was found")
    target = cache_folder() / "kernels" / f"{_key(compiler)}.so"
    try:
        if not target.exists():
            _compile(compiler, target)
        return Built(library=_load(target), reason=f"compiled with {compiler}")
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it said nothing"]
        return Built(library=None, reason=f"{compiler} failed: {said[-1]}")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Built(library=None, reason=f"could not be built ({error})")


def _key(compiler: str) -> str:
    """What the compiled file depends on: source, flags, compiler, and this kind of processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = [line for line in lines if line.startswith(("flags", "Features", "model name"))][:2]
    parts = [path.read_bytes() for path in _sources()]
    parts += [version, *(x.encode() for x in (*FLAGS, *cpu))]
    parts.append(platform.machine().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def _sources() -> list[Path]:
    return [Path(__file__).with_name(name) for name in SOURCES]


def _compile(compiler: str, target: Path) -> None:
    """Compile beside the target and rename, so that no process sees half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".compiling-") as folder:
        made, objects = Path(folder) / "kernels.so", []
        commands = []
        for path in (path for path in _sources() if path.suffix == ".c"):
            objects.append(str(Path(folder) / f"{path.stem}.o"))
            commands.append([compiler, *FLAGS, "-c", "-o", objects[-1], str(path)])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_run, commands))
        _run([compiler, *FLAGS, "-shared", "-o", str(made), *objects, "-lm"])
        os.replace(made, target)


def _run(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, number, small = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    library.burnish_rms_norm.argtypes = [
        *(pointer, pointer, pointer, number, number, number),
        *(ctypes.c_float, small, small),
    ]
    library.burnish_rms_norm.restype = None
    library.burnish_add_rms_norm.argtypes = [
        *(pointer for _ in range(5)),
        *(number, number, ctypes.c_float, small, small),
    ]
    library.burnish_add_rms_norm.restype = None
    library.burnish_largest.argtypes = [pointer, pointer, number, number, small, small]
    library.burnish_largest.restype = None
    library.burnish_silu_mul.argtypes = [pointer, pointer, number, number, small, small]
    library.burnish_silu_mul.restype = None
    library.burnish_attend.argtypes = [pointer]
    library.burnish_attend.restype = small
    library.burnish_quantised.argtypes = [pointer]
    library.burnish_quantised.restype = None
    library.burnish_tiles.argtypes = [small]
    library.burnish_tiles.restype = small
    library.burnish_product.argtypes = [pointer]
    library.burnish_product.restype = small
    library.burnish_layers.argtypes = [pointer]
    library.burnish_layers.restype = small
    return library
