"""Basic information of a program: size, syntax tree, control flow, complexity, Halstead."""

from typing import TYPE_CHECKING

from burnish.analysis.cfg import ControlFlowGraph, build_cfg
from burnish.analysis.halstead import count_tokens, halstead_of, maintainability_index
from burnish.analysis.outline import Function, Outliner, Statement, descendants
from burnish.analysis.python_halstead import count_operations
from burnish.analysis.roles import Roles, roles_of
from burnish.analysis.schema import BasicInformation, FunctionFacts
from burnish.analysis.trees import root_of
from burnish.sandbox.syntax import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_AST_CHARACTERS = 20_000


def basic_information(code: str, language: str) -> BasicInformation | str:
    """Everything that the syntax tree alone tells; a text says why there is no tree.

    Python's Halstead counts are radon's (expressions only); all other languages' are of tokens.
    """
    roles, root = roles_of(language), root_of(code, language)
    if isinstance(root, str):
        return root
    try:
        functions = [function_facts(f, roles) for f in Outliner(roles).functions(root)]
    except RecursionError:
        return "its statements are nested too deeply"
    counts = count_operations(code) if language == "python" else None
    halstead = halstead_of(counts or count_tokens(root, roles))
    comments, blank, total = _line_kinds(code, root, roles)
    num_code = total - blank - len(comments)
    complexity = 1 + sum(f.extended - 1 for f in functions)
    frac = len(comments) / (num_code + len(comments)) if total > blank else 0.0
    return BasicInformation(
        num_lines=total,
        num_code_lines=num_code,
        num_comment_lines=len(comments),
        num_blank_lines=blank,
        has_syntax_errors=root.has_error,
        complexity=complexity,
        maintainability=maintainability_index(halstead.volume, complexity, num_code, frac),
        halstead=halstead,
        functions=tuple(f for f in functions if f.name or f.edges != ((0, -1),)),
        ast=_s_expression(root),
    )


def function_facts(function: Function, roles: Roles) -> FunctionFacts:
    """Complexity and control flow of one function."""
    graph = graph_of(function, roles)
    return FunctionFacts(
        name=function.name,
        line=function.node.start_point[0] + 1,
        end_line=function.node.end_point[0] + 1,
        num_parameters=function.num_parameters,
        nesting=max(map(_depth, function.body), default=0),
        complexity=graph.complexity,
        extended=graph.complexity + _short_circuits(function, roles),
        edges=graph.line_edges(),
    )


def graph_of(function: Function, roles: Roles) -> ControlFlowGraph:
    """The control flow graph of one function."""
    return build_cfg(function.body, falls_through=roles.falls_through)


def _depth(statement: Statement) -> int:
    inner = [_depth(s) for branch in statement.branches for s in branch]
    chain = statement.kind == "if" and not statement.block  # `else if` does not nest
    return max(inner, default=0) + (bool(statement.branches) and not chain)


def _short_circuits(function: Function, roles: Roles) -> int:
    """Decisions inside of expressions of this function, not of those nested in it."""
    found, stack = 0, list(function.node.children)
    while stack:
        node = stack.pop()
        if node.type in roles.functions:
            continue
        found += node.is_named and node.type in roles.ternaries
        found += not node.child_count and not node.is_named and node.type in roles.short_circuits
        stack.extend(node.children)
    return found


def _line_kinds(code: str, root: "Node", roles: Roles) -> tuple[set[int], int, int]:
    lines = code.splitlines()
    comments: set[int] = set()
    for node in descendants(root):
        if node.type in roles.comments:
            first, last = node.start_point[0], node.end_point[0]
            alone = lines[first : first + 1] and not lines[first][: _column(node, lines)].strip()
            end = last if text_of(node).endswith("\n") and last > first else last + 1
            comments |= {i for i in range(first, end) if i > first or alone}
    blank = sum(not line.strip() for line in lines)
    return {i for i in comments if i < len(lines) and lines[i].strip()}, blank, len(lines)


def _column(node: "Node", lines: list[str]) -> int:
    return len(lines[node.start_point[0]].encode()[: node.start_point[1]].decode(errors="replace"))


def _s_expression(root: "Node") -> str:
    text = str(root)
    return text if len(text) <= MAX_AST_CHARACTERS else text[:MAX_AST_CHARACTERS] + " ..."
