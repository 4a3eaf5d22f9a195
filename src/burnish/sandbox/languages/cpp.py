"""C++, compiled by the system's compiler."""

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

COMPILE = """first=$1 second=$2; shift 2
said=$("$@" -std="$first" 2>&1) && exit
code=$?
"$@" -std="$second" 2>/dev/null && exit
printf '%s\\n' "$said" >&2
exit $code
"""


@languages.register("cpp")
@dataclass(frozen=True, kw_only=True)
class Cpp(Language):
    """C++ as g++ has it by default, optimised; what that refuses may be `newer` C++."""

    title: ClassVar[str] = "C++"
    file_name: ClassVar[str] = "main.cpp"
    extensions: ClassVar[tuple[str, ...]] = (".cpp", ".cc", ".cxx", ".hpp")
    aliases: ClassVar[tuple[str, ...]] = ("c++", "cplusplus")
    package: ClassVar[str] = "g++ (apt-get install g++)"
    shebangs: ClassVar[tuple[str, ...]] = ()
    grammar: ClassVar[str] = "tree_sitter_cpp:language"
    extends: ClassVar[str] = "c"
    own_nodes: ClassVar[tuple[str, ...]] = (
        "abstract_reference_declarator", "access_specifier", "alias_declaration",
        "base_class_clause", "class_specifier", "concept_definition", "default_method_clause",
        "delete_expression", "delete_method_clause", "destructor_name",
        "explicit_function_specifier", "field_initializer_list", "for_range_loop",
        "friend_declaration", "lambda_expression", "namespace_alias_definition",
        "namespace_definition", "nested_namespace_specifier", "new_expression", "noexcept",
        "operator_cast", "operator_name", "optional_parameter_declaration",
        "placeholder_type_specifier", "qualified_identifier", "raw_string_literal",
        "reference_declarator", "structured_binding_declarator", "template_declaration",
        "template_function", "template_instantiation", "template_method", "template_type",
        "throw_statement", "trailing_return_type", "try_statement", "using_declaration",
        "virtual_specifier",
    )  # fmt: skip
    memory_errors: ClassVar[tuple[str, ...]] = ("std::bad_alloc",)

    standard: str = "gnu++17"
    newer: str = "gnu++20"
    optimise: str = "-O2"

    def find(self) -> ToolChain | MissingToolChain:
        """The system's compiler."""
        program = find_program("g++", "c++", "clang++")
        if program is None or not (version := program_version(program)):
            return self._missing("g++")
        return ToolChain(programs={"compile": program}, version=version)

    def ended(self, asserts: str, nonce: str) -> str | None:
        """What the tests' `main` reached; code that leaves before it says nothing."""
        return native.ended(asserts, nonce, extern='extern "C" ')

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile without warnings, which the analysis reports; if it fails, as newer C++."""
        command = (str(chain.programs["compile"]), self.optimise, "-o", "main", source)
        if not self.newer:
            return (*command, f"-std={self.standard}")
        return ("/bin/sh", "-c", COMPILE, "sh", self.standard, self.newer, *command)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run the program that the compiler left."""
        return ("/program/main",)
