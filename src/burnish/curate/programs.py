"""Python programs in samples and benchmark items: definitions, entries, how many arguments."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from burnish.curate.samples import Sample
from burnish.data.benchmarks import BenchmarkItem

FENCE = re.compile(r"^[ \t]*(?:```+|~~~+)[ \t]*([^\n`]*)\n(.*?)(?:^[ \t]*(?:```+|~~~+)[ \t]*$|\Z)",
                   re.DOTALL | re.MULTILINE)  # fmt: skip
BEGIN = re.compile(r"^(?:def|class|import|from|async def|@)\b", re.MULTILINE)
MAX_CUTS = 40  # lines of prose behind a program that are left off
MAX_CODE = 20_000  # characters
KEPT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Definitions:
    """The definitions of a program, without the code that it runs.

    `functions` maps each function at the top to its least and largest number of arguments.
    """

    code: str
    functions: dict[str, tuple[int, int]]


def program_of(sample: Sample) -> Definitions | None:
    """The last Python program with a function in a sample; None where there is none.

    Source: ours. Oracle: tests/curate/test_programs.py::test_programs_in_answers
    """
    texts = [t.text for t in reversed(sample.turns) if t.role in ("assistant", "text")]
    for text in texts:
        for code in _pieces(text):
            tree = parse(code)
            if tree is not None and (functions := functions_of(tree)):
                return Definitions(definitions(tree), functions)
    return None


def _pieces(text: str) -> Iterator[str]:
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    blocks = [m[2] for m in FENCE.finditer(text)]
    if blocks:
        yield "\n".join(blocks)
        yield from reversed(blocks)
        return
    yield text
    begin = BEGIN.search(text)
    if begin is None:
        return
    lines = text[begin.start() :].split("\n")
    for cut in range(min(MAX_CUTS, len(lines))):
        yield "\n".join(lines[: len(lines) - cut])


def parse(code: str) -> ast.Module | None:
    """The tree of Python code; None if it does not parse or is too long."""
    if len(code) > MAX_CODE or "def " not in code:
        return None
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def definitions(tree: ast.Module) -> str:
    """Imports, functions, classes and plain constants of a program."""
    kept: list[ast.stmt] = []
    for node in tree.body:
        constant = isinstance(node, ast.Assign | ast.AnnAssign) and not any(
            isinstance(inner, ast.Call | ast.Await) for inner in ast.walk(node)
        )
        if isinstance(node, KEPT) or constant:
            kept.append(node)
    return ast.unparse(ast.Module(body=kept, type_ignores=[]))


def functions_of(tree: ast.Module) -> dict[str, tuple[int, int]]:
    """Functions at the top, with how many positional arguments they take."""
    nodes = [node for node in tree.body if isinstance(node, Function)]
    return {node.name: arity(node) for node in nodes}


def arity(node: Function) -> tuple[int, int]:
    """Least and largest number of positional arguments."""
    given = [*node.args.posonlyargs, *node.args.args]
    if node.args.vararg is not None:
        return len(given) - len(node.args.defaults), 99
    return len(given) - len(node.args.defaults), len(given)


@dataclass(frozen=True)
class Target:
    """What a benchmark's tests call: the name, how many arguments, the size of the reference."""

    entry: str
    num_arguments: int
    num_nodes: int


def target_of(item: BenchmarkItem) -> Target | None:
    """The function that an item's tests check; None for an item without tests of a function."""
    if not item.asserts.strip():
        return None
    tree = next((t for code in (item.solution, item.prompt + item.solution) if (t := parse(code))),
                None)  # fmt: skip
    if tree is None:
        return _called(item)
    nodes = {node.name: node for node in tree.body if isinstance(node, Function)}
    names = [item.entry] if item.entry in nodes else _tested(nodes, item.asserts)
    if not names:
        return None
    node = nodes[names[0]]
    inner = [n for other in nodes.values() for n in ast.walk(other)]
    return Target(node.name, arity(node)[1], num_nodes(inner))


def num_nodes(nodes: Sequence[ast.AST]) -> int:
    """The size of code in nodes of its tree, without expression contexts and docstrings."""
    idle = ast.Load | ast.Store | ast.arguments | ast.arg | ast.Module
    return sum(not isinstance(node, idle) for node in nodes)


def _tested(nodes: dict[str, Function], asserts: str) -> list[str]:
    return [name for name in nodes if re.search(rf"\b{re.escape(name)}\s*\(", asserts)]


def _called(item: BenchmarkItem) -> Target | None:
    """From the tests alone, where there is no reference."""
    try:
        tree = ast.parse(item.asserts)
    except (SyntaxError, ValueError):
        return None
    calls = [
        (n.func.id, n)
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    ]
    named = [call for call in calls if call[0] == item.entry] or [
        call for call in calls if not hasattr(__builtins__, call[0]) and call[0] != "check"
    ]
    if not named:
        return None
    name, first = named[0]
    return Target(name, len(first.args) + len(first.keywords), 0)
