"""Who may import whom: the contracts of pyproject.toml, and that they would be noticed."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from ast import Import, ImportFrom, parse, walk
from pathlib import Path

import pytest


def run_contracts(folder: Path, source: Path) -> subprocess.CompletedProcess:
    """Run import-linter with the configuration in `folder` on the package in `source`."""
    code = "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(source), "PYTHONPYCACHEPREFIX": str(folder)},
        capture_output=True,
        text=True,
    )


def check_declared(package: Path, declared: set[str]) -> list[str]:
    """Third-party modules that are imported but whose distribution is not declared."""
    owners = {"faiss": ["faiss-cpu"], **importlib.metadata.packages_distributions()}
    findings = []
    for path in sorted(package.rglob("*.py")):
        for node in walk(parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, Import) else []
            if isinstance(node, ImportFrom) and node.level == 0:
                names = [node.module]
            for name in {n.partition(".")[0] for n in names} - sys.stdlib_module_names:
                dists = {normalised(d) for d in owners.get(name, [name])}
                if name != "burnish" and not dists & declared:
                    findings.append(f"{path.name}:{node.lineno} imports {name}, not declared")
    return findings


def normalised(requirement: str) -> str:
    """The distribution's name in its canonical spelling, without version and extras."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def skeleton(tmp_path, root):
    """A package with every layer present, importing nothing, under our contracts."""
    text = (root / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(text)
    layers = tomllib.loads(text)["tool"]["importlinter"]["contracts"][0]["layers"]
    for name in [n for layer in layers for n in re.findall(r"\w+", layer)]:
        (tmp_path / "burnish" / name).mkdir(parents=True)
        (tmp_path / "burnish" / name / "__init__.py").touch()
    (tmp_path / "burnish" / "__init__.py").touch()
    return tmp_path


def test_every_import_points_downwards(root):
    done = run_contracts(root, root / "src")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_skeleton_holds(skeleton):
    done = run_contracts(skeleton, skeleton)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("critique", "burnish.sandbox"),
        ("sandbox", "burnish.analysis"),
        ("analysis", "burnish.critique"),
        ("models", "burnish.engine"),
        ("kv", "burnish.models"),
        ("contracts", "burnish.report"),
        ("recipes", "burnish.cli"),
        ("base", "torch"),
        ("utils", "burnish.base"),  # a package without a place among the layers
    ],
)
def test_planted_imports_are_refused(skeleton, importer, imported):
    folder = skeleton / "burnish" / importer
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text(f"import {imported}\n")
    done = run_contracts(skeleton, skeleton)
    assert done.returncode == 1
    assert f"burnish.{importer}" in done.stdout


def test_every_imported_package_is_declared(root, package):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = project["dependencies"] + [
        r
        for name in ("ray", "sandbox", "serve", "pdf", "graph", "translate")
        for r in optional[name]
    ]
    assert check_declared(package, {normalised(r) for r in wanted}) == []


def test_planted_undeclared_import(plant):
    tree = plant("a.py", "def f():\n    import yaml\n    import json\n")
    assert check_declared(tree, {"pyyaml"}) == []
    assert check_declared(tree, {"rich"}) == ["a.py:2 imports yaml, not declared"]


def test_every_declared_version_is_pinned(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = {normalised(r) for rs in [project["dependencies"], *extras] for r in rs}
    lines = [x for x in (root / "constraints.txt").read_text().splitlines() if x[:1] != "#"]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", x) for x in lines)
    assert wanted - {x.partition("==")[0] for x in lines} == {"burnish"}  # its own extra
