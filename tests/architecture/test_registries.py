"""A registered method stands in a file of its name and is named in a test of its package."""

import importlib
import re
from pathlib import Path

from burnish.base.registry import Registry


def find_registries(package: Path) -> list[Registry]:
    """Every registry that a module of the package holds."""
    found = []
    for path in sorted(package.rglob("*.py")):
        if "Registry(" in path.read_text() and path.parent.name != "base":
            parts = path.relative_to(package.parent).with_suffix("").parts
            module = importlib.import_module(".".join(p for p in parts if p != "__init__"))
            found += [x for x in vars(module).values() if isinstance(x, Registry)]
    return list(dict.fromkeys(found))


def check_methods(methods: dict[str, str], tests: Path) -> list[str]:
    """Methods (name: module) without a file of their name, or that no test names.

    `tests` is the folder that mirrors their package.
    """
    text = "\n".join(path.read_text() for path in tests.rglob("test_*.py"))
    named = [name for name in methods if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
    findings = [f"{name}: no test under {tests.name}/" for name in methods if name not in named]
    for name, module in methods.items():
        if module.rpartition(".")[2] != name.replace("-", "_"):
            findings.append(f"{name}: stands in {module}")
    return findings


def test_every_method_has_its_file_and_its_test(package, root):
    registries = find_registries(package)
    assert {"checker", "source"} <= {r.kind for r in registries}
    for registry in registries:
        ours = {n: registry.get(n).__module__ for n in registry.names()}
        ours = {n: m for n, m in ours.items() if m.startswith("burnish.")}  # not plug-ins
        tests = root / "tests" / registry.package.split(".")[1]
        assert check_methods(ours, tests) == []


def test_planted_methods(plant):
    tests = plant("test_a.py", 'def test_it():\n    judge("known:deeper=true")\n')
    methods = {"known": "burnish.data.checkers.known", "deep": "burnish.data.checkers.many"}
    assert check_methods(methods, tests) == [
        f"deep: no test under {tests.name}/",
        "deep: stands in burnish.data.checkers.many",
    ]
