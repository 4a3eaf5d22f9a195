"""C, compiled by the system's compiler."""

from dataclasses import dataclass
from typing import ClassVar

from burnish.sandbox import native
from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import (
    Language,
    MissingToolChain,
    ToolChain,
    find_program,
    program_version,
)


@languages.register("c")
@dataclass(frozen=True, kw_only=True)
class C(Language):
    """C as gcc has it by default, optimised."""

    title: ClassVar[str] = "C"
    file_name: ClassVar[str] = "main.c"
    extensions: ClassVar[tuple[str, ...]] = (".c",)
    aliases: ClassVar[tuple[str, ...]] = ()
    package: ClassVar[str] = "gcc (apt-get install gcc)"
    shebangs: ClassVar[tuple[str, ...]] = ("tcc",)
    grammar: ClassVar[str] = "tree_sitter_c:language"
    memory_errors: ClassVar[tuple[str, ...]] = ()

    standard: str = "gnu17"
    optimise: str = "-O2"

    def find(self) -> ToolChain | MissingToolChain:
        """The system's compiler."""
        program = find_program("gcc", "cc", "clang")
        if program is None or not (version := program_version(program)):
            return self._missing("gcc")
        return ToolChain(programs={"compile": program}, version=version)

    def ended(self, asserts: str, nonce: str) -> str | None:
        """What the tests' `main` reached; code that leaves before it says nothing."""
        return native.ended(asserts, nonce, extern="")

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile without warnings, which the analysis reports."""
        compiler, flags = str(chain.programs["compile"]), (f"-std={self.standard}", self.optimise)
        return (compiler, *flags, "-o", "main", source, "-lm")

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run the program that the compiler left."""
        return ("/program/main",)
