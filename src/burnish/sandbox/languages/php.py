"""PHP, as php runs it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain

SETTINGS = Path("/etc/php")  # where Debian says which extensions there are
NO_INI = ("-c", "/nonexistent")  # the extensions of the machine, and none of its settings

_TAG = re.compile(r"<\?(?:php\b|=)", re.IGNORECASE)
_OPEN = re.compile(r"<\?(?:php\b|=)?", re.IGNORECASE)


@languages.register("php")
@dataclass(frozen=True, kw_only=True)
class Php(Language):
    """PHP on the command line: the extensions of the machine, but not its settings."""

    title: ClassVar[str] = "PHP"
    file_name: ClassVar[str] = "main.php"
    extensions: ClassVar[tuple[str, ...]] = (".php",)
    aliases: ClassVar[tuple[str, ...]] = ("php8",)
    package: ClassVar[str] = "php-cli (apt-get install php-cli)"
    shebangs: ClassVar[tuple[str, ...]] = ("php",)
    grammar: ClassVar[str] = "tree_sitter_php:language_php"
    last_words: ClassVar[str] = 'fwrite(fopen("php://fd/3", "w"), "{nonce}");'
    restored: ClassVar[str] = "ini_set('zend.assertions', '1'); ini_set('assert.exception', '1');"
    memory_errors: ClassVar[tuple[str, ...]] = (
        "Allowed memory size of",
        "Out of memory (allocated",
    )

    def find(self) -> ToolChain | MissingToolChain:
        """The system's interpreter."""
        settings = (SETTINGS,) if SETTINGS.is_dir() else ()
        return self._interpreter("php", "php8.2", read_only=settings)

    def completed(self, code: str) -> str:
        """A program without `<?php` gets one, on its first line."""
        return code if not code.strip() or _TAG.search(code) else f"<?php {code}"

    def joined(self, code: str, asserts: str) -> str:
        """Both as one program, whichever tags they open and close."""
        code, asserts = self.completed(code), self.completed(asserts)
        closed = code.rfind("?>") >= max((m.start() for m in _OPEN.finditer(code)), default=0)
        return f"{code}\n{asserts}" if closed else f"{code}\n?>{asserts}"

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        return (str(chain.programs["run"]), *NO_INI, "-l", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """PHP knows the limit itself and says so; errors go to stderr only."""
        return (*self._with_limits(chain, limits), source)

    def with_asserts(self, code: str, asserts: str) -> str:
        """Asserts behind the code may have a main guard of their own."""
        again = "$argv[0] = $_SERVER['argv'][0] = $_SERVER['SCRIPT_FILENAME'] = __FILE__;"
        return self.joined(code, f"<?php {again} {self.restored} ?>{self.completed(asserts)}")

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Included by a line of its own, which is the main program."""
        return (*self._with_limits(chain, limits), "-r", f"include './{source}';")

    def _with_limits(self, chain: ToolChain, limits: Limits) -> tuple[str, ...]:
        memory = f"memory_limit={limits.memory_bytes * 3 // 4}"
        errors = ("-d", "display_errors=stderr", "-d", "log_errors=0", "-d", "html_errors=0")
        return (str(chain.programs["run"]), *NO_INI, "-d", memory, *errors)
