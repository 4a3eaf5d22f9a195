"""burnish: improve an open language model on tasks that a program can check, and test the gain.

The commands of the shell are functions here, under the same names: `burnish.improve`,
`burnish.recall.curve`. Options are keyword arguments, and the result is what `--json` prints.
Importing this module imports nothing else; a function loads what it needs when it is called.

```python
import burnish

model = burnish.load("smollm2-135m")
print(model.generate("The capital of France is", max_new_tokens=8, greedy=True).text)
```
"""

import importlib
from collections.abc import Callable
from typing import Any

__version__ = "0.1.0"

GROUPS = (
    "arch", "critique", "curate", "draft", "graph", "models", "prefer", "recall", "report",
    "sandbox", "scaling", "stream",
)  # fmt: skip
COMMANDS = {  # of the first level, by the module of `burnish.cli` that holds them
    "improve": "improve",
    "ablate": "improve",
    "tour": "tour",
    "generate": "text",
    "chat": "text",
    "serve": "serve",
    "doctor": "doctor",
    "verify": "verify",
}


def verbs_of(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose name is that of a group of commands.

    Source: ours. Oracle: tests/cli/test_verbs.py::test_verbs_and_submodules_coexist
    """
    group = package.removeprefix("burnish.")

    def known() -> dict[str, Any]:
        return importlib.import_module(f"burnish.cli.{group}").commands.verbs

    def getattr_(name: str) -> Any:
        if not name.startswith("_") and name in known():
            return known()[name]
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def dir_() -> list[str]:
        return sorted({*vars(importlib.import_module(package)), *known()})

    return getattr_, dir_


def __getattr__(name: str) -> Any:
    if name in GROUPS:
        return importlib.import_module(f"burnish.{name}")
    if name in COMMANDS:
        return importlib.import_module(f"burnish.cli.{COMMANDS[name]}").commands.verbs[name]
    if name == "load":
        return importlib.import_module("burnish.recipes.answers").load
    raise AttributeError(f"module 'burnish' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *GROUPS, *COMMANDS, "load"})
