"""Ruby, as CRuby runs it."""

from dataclasses import dataclass
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain


@languages.register("ruby")
@dataclass(frozen=True, kw_only=True)
class Ruby(Language):
    """Ruby with its standard library; gems are not loaded."""

    title: ClassVar[str] = "Ruby"
    file_name: ClassVar[str] = "main.rb"
    extensions: ClassVar[tuple[str, ...]] = (".rb",)
    aliases: ClassVar[tuple[str, ...]] = ("rb",)
    package: ClassVar[str] = "ruby (apt-get install ruby)"
    shebangs: ClassVar[tuple[str, ...]] = ("ruby",)
    grammar: ClassVar[str] = "tree_sitter_ruby:language"
    memory_errors: ClassVar[tuple[str, ...]] = ("failed to allocate memory (NoMemoryError)",)

    def find(self) -> ToolChain | MissingToolChain:
        """The system's interpreter."""
        return self._interpreter("ruby")

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse, and run nothing."""
        return (str(chain.programs["run"]), "--disable=gems", "-c", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Gems are off: they triple the time of starting."""
        return (str(chain.programs["run"]), "--disable=gems", source)
