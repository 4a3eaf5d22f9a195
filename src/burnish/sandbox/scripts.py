"""What is wrong with a script of asserts before anything runs: it would check nothing."""

import ast
import re
from collections.abc import Iterable, Iterator

EMPTY = "holds no test"
UNCALLED = "has tests that nothing calls"
DYNAMIC = {"globals", "locals", "vars", "eval", "exec", "getattr", "dir"}  # may reach any name
RUNNERS = {"unittest", "pytest", "doctest", "nose"}  # find tests by their names
_REMARK = re.compile(r"/\*.*?\*/|^\s*(?://|#(?!!)|--)[^\n]*$|<\?php|\?>", re.DOTALL | re.MULTILINE)
_WAITING = {  # by language, what only a test runner calls, and what would call it
    "go": (re.compile(r"^\s*func\s+Test\w*\s*\(\s*\w+\s+\*testing\.T\s*\)", re.MULTILINE),
           r"\bfunc\s+main\s*\("),
    "rust": (re.compile(r"#\[(?:\w+::)?test\]"), r"\bfn\s+main\s*\("),
}  # fmt: skip

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def fault_of(asserts: str, language: str) -> str:
    """Why a script can check nothing, as the rule of an error; empty if it can.

    Of Python the calls are followed by name; of other languages only emptiness is seen.
    Source: ours. Oracle: tests/sandbox/test_scripts.py::test_scripts_that_check_nothing
    """
    if not _REMARK.sub("", asserts.removeprefix("\ufeff")).strip():
        return EMPTY
    if language != "python":
        return UNCALLED if _never_called(asserts, language) else ""
    try:
        tree = ast.parse(asserts.removeprefix("\ufeff"))
    except (SyntaxError, ValueError) as error:
        return f"is no Python ({str(error)[:80]})"
    return _fault_of_tree(tree)


def _never_called(asserts: str, language: str) -> bool:
    """Whether functions wait for a test runner, and no `main` runs anything."""
    waiting, main = _WAITING.get(language, (None, ""))
    return bool(waiting and waiting.search(asserts) and not re.search(main, asserts))


def _fault_of_tree(tree: ast.Module) -> str:
    defined = {n.name: n for n in ast.walk(tree) if isinstance(n, Node)}
    reached, names = list(_reachable(tree.body)), set()
    todo = list(reached)
    while todo:
        node = todo.pop()
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
        if name in DYNAMIC | RUNNERS and isinstance(node, ast.Name):
            return ""
        if name in defined and name not in names:
            names.add(name)
            found = list(_reachable([defined[name]], inside=True))
            reached += found
            todo += found
    if any(isinstance(node, ast.Assert | ast.Raise) for node in reached):
        return ""
    hidden = any(isinstance(n, ast.Assert) for n in ast.walk(tree)) or any(
        isinstance(n, Node) and n.name.lower().startswith("test") for n in ast.walk(tree)
    )
    if hidden:
        return UNCALLED
    calls = [n for n in reached if isinstance(n, ast.Call | ast.Await | ast.With)]
    return "" if calls else EMPTY


def _reachable(body: Iterable[ast.AST], *, inside: bool = False) -> Iterator[ast.AST]:
    """All nodes that run with these statements: functions and classes only if `inside`."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside:
            continue
        if isinstance(node, ast.ClassDef) and not inside:
            continue
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, Node):
            children = list(node.body)
        within = isinstance(node, ast.ClassDef)  # who uses a class may call its methods
        yield from _reachable(children, inside=within)
