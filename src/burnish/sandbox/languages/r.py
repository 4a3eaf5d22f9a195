"""R, as Rscript runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain

SETTINGS = Path("/etc/R")  # where Debian keeps what R looks for in its own `etc`


@languages.register("r")
@dataclass(frozen=True, kw_only=True)
class R(Language):
    """R with its base packages."""

    title: ClassVar[str] = "R"
    file_name: ClassVar[str] = "main.R"
    extensions: ClassVar[tuple[str, ...]] = (".r",)
    aliases: ClassVar[tuple[str, ...]] = ("rscript", "rlang")
    package: ClassVar[str] = "r-base-core (apt-get install r-base-core)"
    shebangs: ClassVar[tuple[str, ...]] = ("Rscript",)
    grammar: ClassVar[str] = ""
    packages_variable: ClassVar[str] = "R_LIBS"
    last_words: ClassVar[str] = (
        'local({ m <- file("/dev/fd/3", "wb"); cat("{nonce}", file = m); close(m) })'
    )
    restored: ClassVar[str] = (
        'suppressWarnings(base::rm(list = c("stopifnot", "stop", "identical", "all.equal")))'
    )
    memory_errors: ClassVar[tuple[str, ...]] = (
        "cannot allocate vector of size",
        "cannot allocate memory",
        "vector memory exhausted",
    )

    def find(self) -> ToolChain | MissingToolChain:
        """The system's interpreter."""
        return self._interpreter("Rscript", read_only=(SETTINGS,) if SETTINGS.is_dir() else ())

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        return (str(chain.programs["run"]), "--vanilla", "-e", f"invisible(parse('{source}'))")

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run without start-up files and without a saved workspace."""
        return (str(chain.programs["run"]), "--vanilla", source)
