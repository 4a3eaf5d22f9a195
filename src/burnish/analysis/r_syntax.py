"""R's syntax tree, from R's own parser: no tree-sitter grammar of R installs as a package.

R runs in the sandbox, where it parses and evaluates nothing; its table of tokens becomes nodes
that read like those of tree-sitter, as far as the outline needs them.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.program import Program, job_of, prepare
from burnish.sandbox.running import run_job

_TABLE = (
    "p <- getParseData(parse('main.R', keep.source = TRUE)); "
    "cat(paste(p$id, p$parent, p$token, p$line1, p$col1, p$line2, p$col2), sep = '\\n')"
)
_WORDS = {"IF": "if_statement", "FOR": "for_statement", "WHILE": "while_statement",
          "REPEAT": "while_statement", "FUNCTION": "function", "'\\\\'": "function",
          "'{'": "block", "BREAK": "break_statement", "NEXT": "next_statement"}  # fmt: skip
_LEAVES = {"return", "stop", "quit", "q"}
CALL = "SYMBOL_FUNCTION_CALL"
_OPERANDS = {"SYMBOL", "NUM_CONST", "STR_CONST", "NULL_CONST", "SYMBOL_FUNCTION_CALL",
             "SYMBOL_FORMALS", "SYMBOL_SUB", "SYMBOL_PACKAGE", "SLOT"}  # fmt: skip


@dataclass(eq=False)
class RNode:
    """A node with the part of tree-sitter's interface that the analysis uses."""

    token: str
    text: bytes
    start_point: tuple[int, int]
    end_point: tuple[int, int]
    children: list["RNode"] = field(default_factory=list)
    fields: dict[str, "RNode"] = field(default_factory=dict)
    parent: "RNode | None" = None
    type: str = ""
    has_error: bool = False
    is_error: bool = False

    @property
    def is_named(self) -> bool:
        """Whether it is more than punctuation."""
        return bool(self.children) or self.token in _OPERANDS or self.type == "comment"

    @property
    def named_children(self) -> list["RNode"]:
        """The children that are more than punctuation."""
        return [child for child in self.children if child.is_named]

    @property
    def child_count(self) -> int:
        """How many children there are."""
        return len(self.children)

    @property
    def named_child_count(self) -> int:
        """How many of the children are more than punctuation."""
        return len(self.named_children)

    def child_by_field_name(self, name: str) -> "RNode | None":
        """The child in a role, such as `body`."""
        return self.fields.get(name)

    def children_by_field_name(self, name: str) -> list["RNode"]:
        """The child in a role, as a list."""
        return [self.fields[name]] if name in self.fields else []

    def field_name_for_child(self, index: int) -> str | None:
        """The role of a child."""
        child = self.children[index]
        return next((name for name, one in self.fields.items() if one is child), None)

    def __str__(self) -> str:
        inner = " ".join(str(child) for child in self.named_children)
        return f"({self.type} {inner})" if inner else f"({self.type})"


@functools.lru_cache(maxsize=8)
def parse_r(code: str) -> RNode | str:
    """The root of a program's tree; a text says why there is none.

    Raises: IsolationError.
    Oracle: tests/analysis/test_r_syntax.py::test_mccabe_of_r_counted_by_hand
    Source: R's `getParseData`.
    """
    program = prepare(code, find_language("r"))
    if isinstance(program, MissingToolChain):
        return program.reason
    if not isinstance(program, Program):
        return "it cannot be prepared"
    job = job_of(program)
    command = (*job.argv[:-1], "-e", _TABLE)
    outcome = run_job(type(job)(**{**vars(job), "argv": command}))
    if not outcome.ok:
        said = outcome.stderr.decode("utf-8", "replace").strip().splitlines()
        return f"R cannot parse it: {said[0] if said else outcome.failure}"
    rows = [line.split(" ") for line in outcome.stdout.decode("utf-8", "replace").splitlines()]
    return _tree(code, [row for row in rows if len(row) == 7])


def _tree(code: str, rows: Sequence[Sequence[str]]) -> RNode:
    lines = code.splitlines()
    root = RNode("program", code.encode(), (0, 0), (max(len(lines) - 1, 0), 0), type="program")
    nodes: dict[int, RNode] = {}
    parents: dict[int, int] = {}
    for number, parent, token, *places in rows:
        a, b, c, d = (int(x) for x in places)
        text = _slice(lines, (a, b, c, d))
        nodes[int(number)] = RNode(token, text.encode(), (a - 1, b - 1), (c - 1, d))
        parents[int(number)] = int(parent)
    for number, node in nodes.items():
        above = nodes.get(abs(parents[number]), root)  # a comment's parent is negative
        above.children.append(node)
        node.parent = above
    for node in (root, *nodes.values()):
        node.children.sort(key=lambda child: (child.start_point, -child.end_point[0]))
    for node in nodes.values():
        _name(node)
    return root


def _slice(lines: list[str], place: tuple[int, int, int, int]) -> str:
    first, start, last, end = place
    part = lines[first - 1 : last]
    if not part:
        return ""
    part[-1] = part[-1][:end]
    part[0] = part[0][start - 1 :]
    return "\n".join(part)


def _name(node: RNode) -> None:
    """Its type, and the roles of its children, by the keyword that it begins with."""
    own: list[Any] = [child for child in node.children if child.token != "COMMENT"]
    node.type = {"COMMENT": "comment"}.get(node.token, node.token)
    if not node.children:
        node.type = node.type if node.is_named else node.text.decode()
        return
    node.type = _WORDS.get(own[0].token, "expression") if own else "expression"
    match node.type:
        case "if_statement":
            node.fields = {"condition": own[2], "consequence": own[4]}
            node.fields |= {"alternative": own[6]} if len(own) > 6 else {}
        case "for_statement" | "while_statement":
            node.fields = {"body": own[-1]}
        case "function":
            formals = [c for c in own if c.token == "SYMBOL_FORMALS"]
            parameters = RNode("formals", b"", node.start_point, node.end_point, children=formals)
            node.fields = {"body": own[-1], "parameters": parameters}
            around = node.parent.children if node.parent else []
            above = [child for child in around if child.token != "COMMENT"]
            if len(above) == 3 and above[2] is node and "ASSIGN" in above[1].token:
                node.fields["name"] = above[0]
        case "expression" if own[0].children and own[0].text.decode() in _LEAVES:
            node.type = "leave_call"
        case "expression" if own[0].children and own[0].children[-1].token == CALL:
            node.type = "expression_of_call"
