"""Line instrumentation, the same for every compiled language: a call before each statement."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from burnish.analysis.outline import Outliner, Statement, descendants
from burnish.analysis.roles import Roles, roles_of
from burnish.sandbox.syntax import parse, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

TRACERS = Path(__file__).with_name("tracers")
OWN_LINE = {"python", "ruby", "perl", "lua", "bash"}  # their `else` bodies are bodies of lines


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How a language calls the tracer, and what must stand around the program.

    `call` holds `{line}`. `exits` are calls that end a program without its end being reached, and
    what replaces them; `main` begins the main function. `used` follows a program of which
    such a call was replaced, because what it named must still be used.
    """

    call: str
    head: str = ""
    tail: str = ""
    after: str = ""  # the node type that `head` follows; empty: the first byte
    main: str = ""
    exits: tuple[tuple[str, str], ...] = ()
    used: str = ""


PROBES = {
    "c": Probe(call="burnish_line({line});", head="void burnish_line(int);", tail="c"),
    "cpp": Probe(
        call="burnish_line({line});", head='extern "C" void burnish_line(int);', tail="cpp"
    ),
    "java": Probe(call="BurnishLines.at({line});", tail="java"),
    "javascript": Probe(call="burnishLine({line});", tail="js"),
    "typescript": Probe(call="burnishLine({line});", tail="ts"),
    "csharp": Probe(call="BurnishLines.At({line});", tail="cs"),
    "php": Probe(call="\\burnish_line({line});"),
    "go": Probe(
        call="burnishLine({line});",
        head='; import burnishOs "os"; import burnishTime "time"; import burnishFmt "fmt"',
        after="package_clause",
        tail="go",
        main="defer burnishDump();",
        exits=(("os.Exit", "burnishExit"),),
        used="var _ = os.Exit",
    ),
    "rust": Probe(
        call="crate::burnish_lines::at({line});",
        tail="rs",
        main="let _burnish = crate::burnish_lines::Guard;",
        exits=(
            ("std::process::exit", "crate::burnish_lines::exit"),
            ("process::exit", "crate::burnish_lines::exit"),
        ),
    ),
}

GO_COVER = dataclasses.replace(
    PROBES["go"],
    call="",
    head='; import burnishOs "os"; import burnishFmt "fmt"',
    tail="gocover",
)


def executable_lines(code: str, language: str) -> tuple[int, ...]:
    """The lines on which a statement begins. Raises: SettingError, without a grammar.

    Source: as coverage.py counts statements (oracle for Python).
    Oracle: tests/analysis/test_lines.py::test_executable_lines_are_those_of_coverage
    """
    roles = roles_of(language)
    functions = Outliner(roles).functions(parse(code, language).root_node)
    return tuple(sorted({s.line for s in _statements(functions, roles, language)}))


def instrument(code: str, language: str) -> str:
    """The program with a call of the tracer before each statement; its lines stay where they were.

    A loop is counted when it is reached and once more in each round, so that a loop of n rounds
    counts n + 1. Raises: SettingError, without a grammar; KeyError, without a probe.
    Source: ours; gcov counts the same for loops with a condition.
    Oracle: tests/analysis/test_lines.py::test_hits_of_c_are_those_of_gcov
    """
    probe, roles = PROBES[language], roles_of(language)
    root = parse(code, language).root_node
    edits: list[tuple[int, int, int, str]] = []  # (byte, order, end, text)
    functions = Outliner(roles).functions(root)
    for function in functions:
        inside = bool(function.name) or language in {"javascript", "typescript", "php"}
        for statement in function.body if inside else []:
            for one in statement.walk():
                edits += _probe(one, probe, roles, language)
        if probe.main and function.name == "main":
            body = function.node.child_by_field_name("body")
            edits += [(body.start_byte + 1, 0, 0, f" {probe.main} ")] if body else []
    edits += _exits(root, probe)
    return _apply(code, root, edits, probe)


def frame(code: str, language: str, probe: Probe) -> str:
    """The program with what `probe` puts around it, and no calls in it: it has counters already."""
    root = parse(code, language).root_node
    edits = _exits(root, probe)
    for function in Outliner(roles_of(language)).functions(root):
        body = function.node.child_by_field_name("body") if function.name == "main" else None
        edits += [(body.start_byte + 1, 0, 0, f" {probe.main} ")] if body else []
    return _apply(code, root, edits, probe)


def _statements(functions: list, roles: Roles, language: str) -> list[Statement]:
    found = []
    for function in functions:
        top_level_counts = language in {"javascript", "typescript", "php", *OWN_LINE}
        if function.name or top_level_counts:
            found += [s for top in function.body for s in top.walk()]
    return [s for s in found if s.node.type not in roles.unprobed and _counts(s, language)]


def _counts(statement: Statement, language: str) -> bool:
    """Whether a statement is one: no doc string, no bare block."""
    node = statement.node
    if language == "python" and node.type == "expression_statement":
        first = node.named_children[:1]
        return not (first and first[0].type == "string" and node.named_child_count == 1)
    return True


def _probe(
    statement: Statement, probe: Probe, roles: Roles, language: str
) -> list[tuple[int, int, int, str]]:
    node, call = statement.node, probe.call.format(line=statement.line)
    if node.type in roles.unprobed or not _counts(statement, language) or _directive(node):
        return []
    edits = []
    if statement.block:
        edits.append((node.start_byte, 3, 0, call + " "))
    elif node.type not in {"match_arm"} and _can_be_wrapped(node, language):
        edits.append((node.start_byte, 1, 0, "{ "))
        edits.append((node.start_byte, 3, 0, call + " "))
        edits.append((node.end_byte, -1, 0, " }"))
    if statement.kind in {"loop", "do"}:
        body = _loop_body(node)
        if body is not None and body.type in roles.containers:
            edits.append((body.start_byte + 1, 0, 0, " " + call + " "))
        elif body is not None and _can_be_wrapped(body, language):
            edits.append((body.start_byte, 2, 0, call + " "))  # behind the brace of its wrap
    return edits


def _can_be_wrapped(node: "Node", language: str) -> bool:
    """Whether braces may stand around it: not around an arrow's or an arm's expression."""
    wrapping = node.type.endswith(("_statement", "statement")) or node.type == "if_expression"
    arrow = node.parent is not None and node.parent.type in {"switch_rule", "arrow_function"}
    return wrapping and not arrow and node.type != "empty_statement"


def _loop_body(node: "Node") -> "Node | None":
    while node.type in {"expression_statement", "labeled_statement"}:
        node = node.named_children[-1]
    return node.child_by_field_name("body")


def _directive(node: "Node") -> bool:
    """Whether it is `"use strict"`, which must stay the first statement."""
    first = node.named_children[:1]
    return node.type == "expression_statement" and bool(first) and first[0].type == "string"


def _exits(root: "Node", probe: Probe) -> list[tuple[int, int, int, str]]:
    edits = []
    for node in descendants(root) if probe.exits else ():
        if node.type == "call_expression":
            function = node.child_by_field_name("function")
            for name, ours in probe.exits:
                if function is not None and text_of(function) == name:
                    edits.append((function.start_byte, 4, function.end_byte, ours))
                    break
    if edits and probe.used:
        edits.append((root.end_byte, 5, 0, f"\n{probe.used}\n"))
    return edits


def _apply(code: str, root: "Node", edits: list[tuple[int, int, int, str]], probe: Probe) -> str:
    if probe.after:
        behind = [n for n in root.named_children if n.type == probe.after]
        edits += [(n.end_byte, 0, 0, probe.head) for n in behind[:1]]
    text, at, parts = code.encode(errors="replace"), 0, []
    for start, _, end, inserted in sorted(edits, key=lambda e: e[:2]):
        parts += [text[at:start], inserted.encode()]
        at = max(start, end)
    body = b"".join([*parts, text[at:]]).decode(errors="replace")
    head = probe.head + " " if probe.head and not probe.after else ""
    if head and body.startswith("#"):
        head = probe.head + "\n#line 1\n"
    tail = (TRACERS / f"lines.{probe.tail}.txt").read_text() if probe.tail else ""
    return f"{head}{body}\n{tail}"
