"""Small modules, short functions, few parameters."""

import ast
import statistics
from pathlib import Path

CAP_LINES, MEDIAN_LINES = 400, 150
FUNCTION_LINES, PARAMETERS, COMMAND_OPTIONS = 50, 7, 10


def check_modules(package: Path) -> list[str]:
    """Modules over the cap, and a median that is too large."""
    sizes = {path: len(path.read_text().splitlines()) for path in package.rglob("*.py")}
    findings = [f"{p.name}: {n} lines" for p, n in sorted(sizes.items()) if n > CAP_LINES]
    median = statistics.median(n for n in sizes.values() if n > 1)
    return findings + ([f"median {median:g} lines"] if median > MEDIAN_LINES else [])


def check_functions(package: Path) -> list[str]:
    """Functions that are too long or take too much, and commands with too many options."""
    findings = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                findings += [f"{path.name}:{node.lineno} {node.name}: {x}" for x in faults(node)]
    return findings


def faults(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """What is too large about one function."""
    found, num_lines = [], node.end_lineno - node.lineno + 1
    if num_lines > FUNCTION_LINES:
        found.append(f"{num_lines} lines")
    parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    parameters = [p for p in parameters if p.arg not in {"self", "cls"}]
    if any(is_command(decorator) for decorator in node.decorator_list):
        has_json = node.returns is not None and ast.unparse(node.returns) == "Outcome"
        num_options = sum(not is_argument(p) for p in parameters) + has_json
        if num_options > COMMAND_OPTIONS:
            found.append(f"{num_options} options")
    elif len(parameters) > PARAMETERS:
        found.append(f"{len(parameters)} parameters")
    return found


def is_command(decorator: ast.expr) -> bool:
    """Whether a decorator makes the function a command of the shell, as `@app.command("x")`."""
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(call, ast.Attribute) and call.attr in {"command", "callback"}


def is_argument(parameter: ast.arg) -> bool:
    """Whether a command's parameter is positional or the context, not an option."""
    text = ast.unparse(parameter.annotation) if parameter.annotation else ""
    return "Argument" in text or "Context" in text


def test_modules_are_small(package):
    assert check_modules(package) == []


def test_functions_are_short(package):
    assert check_functions(package) == []


def test_planted_modules(plant):
    plant("short.py", "x = 1\n" * 3)
    tree = plant("long.py", "x = 1\n" * 401)
    assert check_modules(tree) == ["long.py: 401 lines", "median 202 lines"]
    (tree / "long.py").write_text("x = 1\n" * 297)
    assert check_modules(tree) == []


def test_planted_functions(plant):
    seven = ", ".join("abcdefg")
    eleven = "source: Annotated[str, Argument()], " + ", ".join("abcdefghij")
    text = f"class A:\n    def f(self, {seven}): ...\ndef g({seven}, *, h): ...\n"
    text += f"@app.command('x')\ndef h({eleven}): ...\n@app.command()\ndef i({eleven}, k): ...\n"
    text += f"@app.command()\ndef j({eleven}) -> Outcome: ...\n"
    text += "def k():\n" + "    x = 1\n" * 50
    tree = plant("a.py", text)
    assert check_functions(tree) == [
        "a.py:3 g: 8 parameters",
        "a.py:7 i: 11 options",
        "a.py:9 j: 11 options",
        "a.py:10 k: 51 lines",
    ]
