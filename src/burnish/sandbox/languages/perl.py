"""Perl, as perl runs it."""

from dataclasses import dataclass
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain


@languages.register("perl")
@dataclass(frozen=True, kw_only=True)
class Perl(Language):
    """Perl 5."""

    title: ClassVar[str] = "Perl"
    file_name: ClassVar[str] = "main.pl"
    extensions: ClassVar[tuple[str, ...]] = (".pl", ".pm", ".t")
    aliases: ClassVar[tuple[str, ...]] = ("perl5",)
    package: ClassVar[str] = "perl (apt-get install perl)"
    shebangs: ClassVar[tuple[str, ...]] = ("perl",)
    grammar: ClassVar[str] = "tree_sitter_perl:language"
    packages_variable: ClassVar[str] = "PERL5LIB"
    last_words: ClassVar[str] = 'open(my $mark, ">&=", 3); print $mark "{nonce}"; close($mark);'
    memory_errors: ClassVar[tuple[str, ...]] = ("Out of memory!", "Out of memory in perl")

    def find(self) -> ToolChain | MissingToolChain:
        """The system's interpreter."""
        return self._interpreter("perl", version=("-e", "print $^V"))

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        return (str(chain.programs["run"]), "-c", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run without the working folder in the module path."""
        return (str(chain.programs["run"]), source)

    @property
    def main_again(self) -> str:
        """Asserts behind it may have a main guard of their own; modules see the real `caller`."""
        return (
            "$0 = __FILE__; BEGIN { *CORE::GLOBAL::caller = sub (;$) { "
            "my @frame = CORE::caller(@_ ? $_[0] + 1 : 1); "
            "return if @frame && $frame[3] eq '(eval)' && ($frame[6] // '') eq './main.pl'; "
            "return wantarray ? (@_ ? @frame : @frame[0 .. 2]) : $frame[0]; } }"
        )

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Loaded by a line of its own, which is the main program; what stopped it is told."""
        return (str(chain.programs["run"]), "-e", f"do './{source}'; die $@ if $@")
