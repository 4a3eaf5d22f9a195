"""Names that tell nothing, and code that runs when it is imported."""

import ast
import re
from pathlib import Path

FORBIDDEN_FILES = {"utils", "util", "common", "helpers", "helper", "misc"}
FORBIDDEN_ENDING = re.compile(r"_(v\d+|new|old|legacy)$")
ALLOWED_AT_IMPORT = (
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)


def check_names(package: Path) -> list[str]:
    """Files that could hold anything, and names that tell history instead of meaning."""
    findings = []
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package).as_posix()
        if FORBIDDEN_FILES & {*path.parent.relative_to(package).parts, path.stem}:
            findings.append(f"{where}: a name for anything")
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, definitions)]
        names = [path.stem, *(node.name for node in nodes)]
        findings += [f"{where}: {n}" for n in names if FORBIDDEN_ENDING.search(n)]
    return findings


def check_import_time(package: Path) -> list[str]:
    """Statements that do work when a module is imported, and postponed annotations."""
    findings = []
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package).as_posix()
        for node in ast.parse(path.read_text()).body:
            text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                findings.append(f"{where}:{node.lineno} postpones annotations")
            elif not (text or isinstance(node, ALLOWED_AT_IMPORT) or is_guard(node)):
                findings.append(f"{where}:{node.lineno} works at import time")
    return findings


def is_guard(node: ast.stmt) -> bool:
    """Whether a statement is `if TYPE_CHECKING:` or `if __name__ == "__main__":`."""
    tests = {"TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"}
    return isinstance(node, ast.If) and ast.unparse(node.test) in tests


def test_names_tell_something(package):
    assert check_names(package) == []


def test_nothing_works_at_import_time(package):
    assert check_import_time(package) == []


def test_planted_names(plant):
    plant("utils/files.py", "")
    plant("data/helpers.py", "")
    tree = plant("data/loop_v2.py", "def f_new(): ...\nclass Renew: ...\n")
    assert check_names(tree) == [
        "data/helpers.py: a name for anything",
        "data/loop_v2.py: loop_v2",
        "data/loop_v2.py: f_new",
        "utils/files.py: a name for anything",
    ]


def test_planted_work_at_import_time(plant):
    text = '"""Doc."""\nfrom __future__ import annotations\nimport torch\nX = 1\n'
    text += "torch.set_num_threads(2)\nif __name__ == '__main__':\n    print(X)\n"
    tree = plant("a.py", text + "if X:\n    X = 2\n")
    assert check_import_time(tree) == [
        "a.py:2 postpones annotations",
        "a.py:5 works at import time",
        "a.py:8 works at import time",
    ]
