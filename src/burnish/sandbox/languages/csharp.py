"""C#, compiled by Mono's `mcs`."""

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

SETTINGS = Path("/etc/mono")
_USING = re.compile(
    r"(?:^|(?<=;))[ \t]*using\s+(?:static\s+)?[\w.]+(?:\s*=\s*[\w.<>, ]+)?\s*;", re.MULTILINE
)
_MAIN = re.compile(r"\bstatic\s+(?:\w+\s+)*?(?:void|int|(?:[\w.]+\.)?Task(?:<int>)?)\s+Main\s*\(")
_CLASS = re.compile(r"\b(?:class|struct)\s+(\w+)")
_EXIT = re.compile(r"\b(?:System\s*\.\s*)?Environment\s*\.\s*Exit\s*\(")
END = """
static class BurnishEnd {
  class Loud : System.Diagnostics.TraceListener {
    public override void Write(string said) { }
    public override void WriteLine(string said) { }
    public override void Fail(string said) { throw new System.Exception("not true: " + said); }
    public override void Fail(string said, string more) { Fail(said); }
  }
  static int Main(string[] words) {
    System.Diagnostics.Trace.Listeners.Clear();
    System.Diagnostics.Trace.Listeners.Add(new Loud());
    var all = (System.Reflection.BindingFlags)58;
    foreach (var kind in typeof(BurnishEnd).Assembly.GetTypes()) {
      if (System.Array.IndexOf(new[] { {names} }, kind.Name) < 0) continue;
      var main = kind.GetMethod("Main", all);
      if (main == null) continue;
      object told = null;
      try {
        told = main.Invoke(null, main.GetParameters().Length == 0 ? null : new object[] { words });
        if (told is System.Threading.Tasks.Task) ((System.Threading.Tasks.Task)told).Wait();
      } catch (System.Reflection.TargetInvocationException error) {
        System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(error.InnerException).Throw();
      }
      if (told is int && (int)told != 0) return (int)told;
      End();
      return 0;
    }
    return 1;
  }
  public static void Exit(int code) {
    if (code == 0) End();
    System.Environment.Exit(code);
  }
  static void End() {
    var said = System.Text.Encoding.ASCII.GetBytes("{nonce}");
    if (write(3, said, (System.IntPtr)said.Length).ToInt64() != said.Length)
      throw new System.Exception("nobody hears the end");
  }
  [System.Runtime.InteropServices.DllImport("libc")]
  static extern System.IntPtr write(int to, byte[] said, System.IntPtr size);
}
"""


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

    main: str = ""

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

    def joined(self, code: str, asserts: str) -> str:
        """One file: what the tests use stands before the code."""
        used = " ".join(found.strip() for found in _USING.findall(asserts))
        return f"{used} {code}\n{_USING.sub('', asserts)}" if used else f"{code}\n{asserts}"

    def ended(self, asserts: str, nonce: str) -> str | None:
        """A class of ours calls the tests' `Main`; `Debug.Assert` ends what fails it."""
        if not _MAIN.search(asserts):
            return None
        names = ", ".join(f'"{name}"' for name in _CLASS.findall(asserts))
        end = END.replace("{names}", names).replace("{nonce}", nonce)
        return _EXIT.sub("BurnishEnd.Exit(", asserts) + end

    def for_asserts(self, asserts: str) -> Self:
        """The class to start is ours, where the tests end with it."""
        return (
            dataclasses.replace(self, main="BurnishEnd") if "class BurnishEnd" in asserts else self
        )

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile with LINQ and tuples, as online judges do; tests with `Debug.Assert`."""
        start = (f"-main:{self.main}", "-d:DEBUG") if self.main else ()
        flags = (*start, "-optimize+", "-warn:0", "-r:System.Core.dll", "-r:System.Numerics.dll")
        return (str(chain.programs["compile"]), *flags, "-out:main.exe", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run the program that the compiler left."""
        return (str(chain.programs["run"]), "/program/main.exe")

    def env(self, limits: Limits) -> dict[str, str]:
        """Tell the garbage collector the limit, so that running out of memory is reported."""
        heap = max(limits.memory_bytes * 3 // 4 // MIB, 32)
        return {"MONO_GC_PARAMS": f"max-heap-size={heap}m", "MONO_SHARED_DIR": "/tmp"}
