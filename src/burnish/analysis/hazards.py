"""Calls that are dangerous whatever surrounds them, by the same rules in every language."""

import re
from collections.abc import Iterator, Mapping

from burnish.analysis.outline import descendants
from burnish.analysis.schema import Finding
from burnish.analysis.trees import root_of
from burnish.sandbox.syntax import text_of

_EVAL = ("CWE-95", "runs text as a program")
_SHELL = ("CWE-78", "gives text to a shell or starts a program")
_OVERFLOW = ("CWE-120", "copies without knowing the size of the target")
_LOAD = ("CWE-502", "builds objects out of data that may not be trusted")
_RANDOM = ("CWE-338", "is predictable; no secret may depend on it")
_UNSAFE = ("CWE-119", "leaves the checks of memory behind")

_C = {
    **dict.fromkeys(("strcpy", "strcat", "sprintf", "vsprintf", "gets"), _OVERFLOW),
    **dict.fromkeys(("system", "popen", "execl", "execlp", "execv", "execvp"), _SHELL),
    **{"rand": _RANDOM, "alloca": _UNSAFE},
}
_JS = {"eval": _EVAL, "Function": _EVAL, "execSync": _SHELL, "exec": _SHELL, "spawnSync": _SHELL}
HAZARDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "c": _C,
    "cpp": _C,
    "java": {"exec": _SHELL, "readObject": _LOAD},
    "javascript": _JS,
    "typescript": _JS,
    "go": {"Command": _SHELL, "Pointer": _UNSAFE},
    "rust": {"transmute": _UNSAFE, "Command": _SHELL},
    "csharp": {"Start": _SHELL, "Deserialize": _LOAD},
    "php": {"eval": _EVAL, "system": _SHELL, "exec": _SHELL, "shell_exec": _SHELL,
            "passthru": _SHELL, "unserialize": _LOAD, "rand": _RANDOM},
    "ruby": {"eval": _EVAL, "instance_eval": _EVAL, "system": _SHELL, "exec": _SHELL,
             "load": _LOAD},
    "perl": {"eval": _EVAL, "system": _SHELL, "exec": _SHELL},
    "lua": {"load": _EVAL, "loadstring": _EVAL, "dofile": _EVAL, "execute": _SHELL,
            "popen": _SHELL},
    "bash": {"eval": _EVAL},
    "r": {"eval": _EVAL, "system": _SHELL, "system2": _SHELL, "readRDS": _LOAD, "load": _LOAD},
}  # fmt: skip

_CALLS = ("call", "invocation", "command", "object_creation", "expression_of_call")
_LAST_NAME = re.compile(r"([A-Za-z_]\w*)\W*$")


def dangerous_calls(code: str, language: str) -> Iterator[Finding]:
    """Calls of the table above. Python has bandit, which knows more.

    Source: ours; CWE by MITRE. A finding says what the call can do, not that it is reachable.
    Oracle: tests/analysis/test_smells.py::test_planted_hazards_are_found
    """
    table = HAZARDS.get(language, {})
    for node in descendants(root_of(code, language)) if table else ():
        if not any(part in node.type for part in _CALLS) or node.type == "command_name":
            continue
        name = _callee(text_of(node))
        if name in table:
            cwe, why = table[name]
            line, column = node.start_point[0] + 1, node.start_point[1] + 1
            yield Finding(
                rule=f"call-of-{name}", message=f"{name} {why}", line=line, column=column,
                severity="warning", tool="burnish", cwe=cwe,
            )  # fmt: skip


def _callee(text: str) -> str:
    """The last name before the arguments: `Runtime.getRuntime().exec(x)` calls `exec`."""
    depth = 0
    for i in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[i], 0)
        if depth == 0 and text[i] == "(":
            found = _LAST_NAME.search(text[:i].removesuffix("new "))
            return found[1] if found else ""
    return text.split(None, 1)[0].strip("!:") if text.split() else ""
