"""Rust, compiled by `rustc`."""

import functools
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from burnish.sandbox.job import MIB, Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import (
    VERSION_TIMEOUT_S,
    Language,
    MissingToolChain,
    ToolChain,
    find_program,
    outside_usr,
    program_version,
)

_MAIN = re.compile(r"\bfn\s+main\s*\(")
_EXIT = re.compile(r"(?<![\w:])(?:std\s*::\s*)?process\s*::\s*exit\s*\(")
END = """fn burnish_end() {
    use std::{io::Write, os::fd::FromRawFd};
    let mut mark = unsafe { std::fs::File::from_raw_fd(3) };
    mark.write_all(b"{nonce}").unwrap();
}
#[allow(dead_code)]
fn burnish_exit(code: i32) -> ! {
    if code == 0 {
        burnish_end();
    }
    std::process::exit(code)
}
fn main() -> std::process::ExitCode {
    let code = std::process::Termination::report(burnish_tests());
    burnish_end();
    code
}
"""


@languages.register("rust")
@dataclass(frozen=True, kw_only=True)
class Rust(Language):
    """Rust with its standard library; one crate, one file."""

    title: ClassVar[str] = "Rust"
    file_name: ClassVar[str] = "main.rs"
    extensions: ClassVar[tuple[str, ...]] = (".rs",)
    aliases: ClassVar[tuple[str, ...]] = ("rustlang",)
    package: ClassVar[str] = "rustc (apt-get install rustc)"
    grammar: ClassVar[str] = "tree_sitter_rust:language"
    memory_errors: ClassVar[tuple[str, ...]] = ("memory allocation of",)
    compile_limits: ClassVar[Limits] = Limits(
        cpu_s=60, wall_s=120, memory_bytes=1536 * MIB, num_processes=128, disk_bytes=256 * MIB
    )

    edition: str = "2021"
    optimise: str = "1"

    def find(self) -> ToolChain | MissingToolChain:
        """The compiler itself, not rustup's stand-in for it, and a linker."""
        program, linker = find_program("rustc"), find_program("cc", "gcc", "clang")
        if program is None or not (version := program_version(program)):
            return self._missing("rustc")
        if linker is None:
            return self._missing("cc")
        own = _sysroot(program) / "bin" / "rustc"
        program = own if own.exists() else program
        return ToolChain(
            programs={"compile": program, "link": linker},
            version=version,
            read_only=outside_usr(program.parent),
        )

    def ended(self, asserts: str, nonce: str) -> str | None:
        """The tests' `main` is called by ours, which says how it ended."""
        if not _MAIN.search(asserts):
            return None
        called = _EXIT.sub("burnish_exit(", _MAIN.sub("fn burnish_tests(", asserts))
        return called + "\n" + END.replace("{nonce}", nonce)

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile without warnings, which the analysis reports."""
        flags = ["--edition", self.edition, "-C", f"opt-level={self.optimise}", "--cap-lints=allow"]
        flags += ["-C", f"linker={chain.programs['link']}", "-C", "debuginfo=0"]
        return (str(chain.programs["compile"]), *flags, "-o", "main", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run the program that the compiler left."""
        return ("/program/main",)


@functools.cache
def _sysroot(program: Path) -> Path:
    command = [str(program), "--print", "sysroot"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
    )
    return Path(done.stdout.strip() or "/usr")
