"""PHP, as php runs it."""

from dataclasses import dataclass
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain


@languages.register("php")
@dataclass(frozen=True, kw_only=True)
class Php(Language):
    """PHP on the command line, without the settings of the machine."""

    title: ClassVar[str] = "PHP"
    file_name: ClassVar[str] = "main.php"
    extensions: ClassVar[tuple[str, ...]] = (".php",)
    aliases: ClassVar[tuple[str, ...]] = ("php8",)
    package: ClassVar[str] = "php-cli (apt-get install php-cli)"
    shebangs: ClassVar[tuple[str, ...]] = ("php",)
    grammar: ClassVar[str] = "tree_sitter_php:language_php"
    memory_errors: ClassVar[tuple[str, ...]] = (
        "Allowed memory size of",
        "Out of memory (allocated",
    )

    def find(self) -> ToolChain | MissingToolChain:
        """The system's interpreter."""
        return self._interpreter("php", "php8.2")

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse, and run nothing."""
        return (str(chain.programs["run"]), "-n", "-l", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """PHP knows the limit itself and says so; errors go to stderr only."""
        memory = f"memory_limit={limits.memory_bytes * 3 // 4}"
        errors = ("-d", "display_errors=stderr", "-d", "log_errors=0", "-d", "html_errors=0")
        return (str(chain.programs["run"]), "-n", "-d", memory, *errors, source)
