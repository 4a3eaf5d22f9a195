"""Every dimension letter of an annotation stands in NOTATION.md."""

import ast
import re
from pathlib import Path

SHAPED = {"Float", "Int", "Bool", "Shaped", "Num", "Integer", "Inexact", "Real", "UInt", "Key"}


def shape_letters(package: Path) -> dict[str, set[str]]:
    """The names in the shapes of all annotations, each with the modules that use it."""
    letters: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") in SHAPED:
                shape = node.slice.elts[1].value
                for name in re.findall(r"[A-Za-z]\w*", shape):
                    letters.setdefault(name, set()).add(path.relative_to(package).as_posix())
    return letters


def check_letters(package: Path, notation: Path) -> list[str]:
    """Names in shapes that no row of the legend explains."""
    legend = set(re.findall(r"^\| `(\w+)` \|", notation.read_text(), re.MULTILINE))
    unknown = sorted(shape_letters(package).items())
    return [f"{name} ({', '.join(sorted(at))})" for name, at in unknown if name not in legend]


def test_every_letter_is_explained(package, root):
    assert check_letters(package, root / "NOTATION.md") == []


def test_planted_letter(plant):
    text = 'def f(x: Float[Tensor, "*N d/2 1"], y: Int[Tensor, " B"]): ...\n'
    tree = plant("a.py", text)
    notation = plant("N.md", "| letter | meaning |\n|---|---|\n| `N` | rows |\n| `d` | d |\n")
    assert check_letters(tree, notation / "N.md") == ["B (a.py)"]
