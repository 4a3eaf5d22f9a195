"""Everything public says what it means; every source is named; every oracle exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FIELD = r"\b{name}:(.*?)(?=\b(?:Source|Departure|Oracle|Raises|Returns|Units):|\n[ \t]*\n|\Z)"
SOURCE = re.compile(FIELD.format(name="Source"), re.DOTALL)
ORACLE = re.compile(FIELD.format(name="Oracle"), re.DOTALL)
REFERENCE = re.compile(r"(tests/[\w/]+\.py)?::(\w+)")


def check_presence(package: Path) -> list[str]:
    """Modules, and public functions, methods and classes, without a docstring."""
    findings = []
    for path in sorted(package.rglob("*.py")):
        tree, where = ast.parse(path.read_text()), path.relative_to(package).as_posix()
        findings += [] if ast.get_docstring(tree) else [f"{where}: no docstring"]
        for name, node in public(tree):
            if not ast.get_docstring(node):
                findings.append(f"{where}: {name} has no docstring")
    return findings


def check_fields(package: Path, root: Path) -> list[str]:
    """Empty sources, oracles without a source, and oracles that are not tests under `root`."""
    findings = []
    for path in sorted(package.rglob("*.py")):
        tree, where = ast.parse(path.read_text()), path.relative_to(package).as_posix()
        for node in [tree, *(n for n in ast.walk(tree) if isinstance(n, DEFINITIONS))]:
            text = ast.get_docstring(node) or ""
            name = f"{where}: {getattr(node, 'name', 'module')}"
            sources, oracles = SOURCE.findall(text), ORACLE.findall(text)
            if any(not source.strip(" .\n") for source in sources):
                findings.append(f"{name} has an empty source")
            if oracles and not sources:
                findings.append(f"{name} has an oracle but no source")
            for oracle in oracles:
                findings += [f"{name}: {fault}" for fault in oracle_faults(oracle, root)]
    return findings


def oracle_faults(oracle: str, root: Path) -> list[str]:
    """What is missing of the tests that one `Oracle:` names; `::b` after `a.py::a` is `a.py::b`."""
    references, file, found = REFERENCE.findall(oracle), "", []
    for given, test in references:
        file = given or file
        if not file or not (root / file).is_file():
            found.append(f"no file {file!r} for oracle {test}")
        elif test not in functions(root / file):
            found.append(f"no test {test} in {file}")
    return found if references else [f"an oracle must be path::test, is {oracle.strip()!r}"]


def functions(path: Path) -> set[str]:
    """The names of all functions in a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def public(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """The public definitions of a module, and those inside its public classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, DEFINITIONS) and not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{prefix}{child.name}.")


def test_everything_public_has_a_docstring(package):
    assert check_presence(package) == []


def test_sources_are_named_and_oracles_exist(package, root):
    findings = check_fields(package, root)
    assert findings == [], "\n".join(findings)


def test_planted_missing_docstrings(plant):
    text = '"""Doc."""\ndef f(): ...\ndef _g(): ...\nclass A:\n    """Doc."""\n    def h(self): ...'
    tree = plant("a.py", text + "\n    def __init__(self): ...\n")
    plant("b.py", "X = 1\n")
    assert check_presence(tree) == [
        "a.py: f has no docstring",
        "a.py: A.h has no docstring",
        "b.py: no docstring",
    ]


def test_planted_oracles(plant):
    plant("tests/x/test_a.py", "def test_one(): ...\ndef test_two(): ...\n")
    rows = [
        "Source: ours. Oracle: tests/x/test_a.py::test_one, ::test_two",
        "Source: ours.\n    Departure: none.\n    Oracle: tests/x/test_a.py::test_one",
        "Source: ours. Oracle: tests/x/test_a.py::test_one, ::test_three",
        "Source: ours. Oracle: tests/x/test_b.py::test_one",
        "Source: ours. Oracle: tests/x/test_a.py",
        "Source:\n    Oracle: tests/x/test_a.py::test_one",
        "Oracle: tests/x/test_a.py::test_one",
    ]
    text = "".join(f'def f{i}():\n    """Do.\n\n    {r}\n    """\n' for i, r in enumerate(rows))
    root = plant("src/a.py", text)
    assert check_fields(root / "src", root) == [
        "a.py: f2: no test test_three in tests/x/test_a.py",
        "a.py: f3: no file 'tests/x/test_b.py' for oracle test_one",
        "a.py: f4: an oracle must be path::test, is 'tests/x/test_a.py'",
        "a.py: f5 has an empty source",
        "a.py: f6 has an oracle but no source",
    ]
