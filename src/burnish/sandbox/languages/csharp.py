"""C#, compiled by Mono's `mcs`."""

from dataclasses import dataclass
from pathlib import Path
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

SETTINGS = Path("/etc/mono")


@languages.register("csharp")
@dataclass(frozen=True, kw_only=True)
class CSharp(Language):
    """C# 7 with the class library of Mono."""

    title: ClassVar[str] = "C#"
    file_name: ClassVar[str] = "main.cs"
    extensions: ClassVar[tuple[str, ...]] = (".cs",)
    aliases: ClassVar[tuple[str, ...]] = ("c#", "mono", "dotnet")
    package: ClassVar[str] = "mono-mcs (apt-get install mono-mcs libmono-system-core4.0-cil)"
    grammar: ClassVar[str] = "tree_sitter_c_sharp:language"
    floor: ClassVar[Floor] = Floor(memory_bytes=128 * MIB, num_processes=32, data=False)
    memory_errors: ClassVar[tuple[str, ...]] = (
        "System.OutOfMemoryException",
        "Garbage collector could not allocate",
    )

    def find(self) -> ToolChain | MissingToolChain:
        """Mono's compiler and its virtual machine."""
        compiler, runner = find_program("mcs"), find_program("mono")
        if compiler is None or not (version := program_version(compiler)):
            return self._missing("mcs")
        if runner is None:
            return self._missing("mono")
        settings = (SETTINGS,) if SETTINGS.is_dir() else ()
        return ToolChain(
            programs={"compile": compiler, "run": runner},
            version=version,
            read_only=(*outside_usr(compiler), *outside_usr(runner), *settings),
        )

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile with LINQ and tuples, as online judges do."""
        flags = ("-optimize+", "-warn:0", "-r:System.Core.dll", "-r:System.Numerics.dll")
        return (str(chain.programs["compile"]), *flags, "-out:main.exe", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run the program that the compiler left."""
        return (str(chain.programs["run"]), "/program/main.exe")

    def env(self, limits: Limits) -> dict[str, str]:
        """Tell the garbage collector the limit, so that running out of memory is reported."""
        heap = max(limits.memory_bytes * 3 // 4 // MIB, 32)
        return {"MONO_GC_PARAMS": f"max-heap-size={heap}m", "MONO_SHARED_DIR": "/tmp"}
