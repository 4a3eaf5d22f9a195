"""Bash, as bash runs it."""

import re
from dataclasses import dataclass
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain

_TEST_LINE = re.compile(
    r"^(?:\[ (?:(?!\s\]|&&|\|\|).)*\s\]|\[\[ (?:(?!\]\]).)*\]\]|test (?:(?![;&|#]).)*)(?=[ \t]*$)",
    re.MULTILINE,
)


@languages.register("bash")
@dataclass(frozen=True, kw_only=True)
class Bash(Language):
    """Bash; other shells' scripts run too where bash understands them."""

    title: ClassVar[str] = "Bash"
    file_name: ClassVar[str] = "main.sh"
    extensions: ClassVar[tuple[str, ...]] = (".sh", ".bash")
    aliases: ClassVar[tuple[str, ...]] = ("shell", "sh", "zsh")
    package: ClassVar[str] = "bash (apt-get install bash)"
    shebangs: ClassVar[tuple[str, ...]] = ("bash", "sh", "dash", "ksh", "zsh")
    grammar: ClassVar[str] = "tree_sitter_bash:language"
    last_words: ClassVar[str] = "[ $? = 0 ] || exit; printf %s {nonce} >&3"
    memory_errors: ClassVar[tuple[str, ...]] = (
        "bash: xrealloc: cannot allocate",
        "bash: xmalloc: cannot allocate",
        "fork: Cannot allocate memory",
    )

    def find(self) -> ToolChain | MissingToolChain:
        """The system's bash."""
        return self._interpreter("bash")

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        return (str(chain.programs["run"]), "-n", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run without start-up files."""
        return (str(chain.programs["run"]), "--norc", "--noprofile", source)

    @property
    def main_again(self) -> str:
        """Asserts behind it may have a main guard of their own."""
        return "BASH_ARGV0=${BASH_SOURCE[0]}"

    def ended(self, asserts: str, nonce: str) -> str:
        """A line that is a test and nothing else is an assert."""
        return super().ended(_TEST_LINE.sub(r"\g<0> || exit 1", asserts), nonce) or ""

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Read by a line of its own, which is the main program."""
        return (*self.run_command(chain, "-c", limits), f"source ./{source}")
