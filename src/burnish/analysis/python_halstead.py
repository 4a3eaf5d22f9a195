"""Halstead's counts of Python by its own syntax tree, as radon counts them."""

import ast
from collections.abc import Iterator
from typing import Any

_NAMES = {ast.Name: "id", ast.Attribute: "attr", ast.Constant: "value"}


def count_operations(code: str) -> tuple[int, int, int, int] | None:
    """Distinct and all operators and operands of a program's expressions; None: no Python.

    Only arithmetic, Boolean, comparing and augmented operators count. An operand is distinct
    within its function.
    Source: radon 6 (`HalsteadVisitor`), whose values the paper's Fig. 4 prints.
    Oracle: tests/analysis/test_basic.py::test_halstead_counts_are_radons
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    rows = list(_operations(tree, ""))
    operators = {kind for kinds, _ in rows for kind in kinds}
    operands = {operand for _, found in rows for operand in found}
    total = sum(len(kinds) for kinds, _ in rows), sum(len(found) for _, found in rows)
    return len(operators), len(operands), *total


def _operations(node: ast.AST, context: str) -> Iterator[tuple[list[type], list[Any]]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for child in node.body:
            yield from _operations(child, node.name)
        return
    found = _operation(node)
    if found:
        kinds, operands = found
        yield [type(k) for k in kinds], [(context, _value(x)) for x in operands]
    for child in ast.iter_child_nodes(node):
        yield from _operations(child, context)


def _operation(node: ast.AST) -> tuple[list[ast.AST], list[ast.AST]] | None:
    match node:
        case ast.BinOp():
            return [node.op], [node.left, node.right]
        case ast.UnaryOp():
            return [node.op], [node.operand]
        case ast.BoolOp():
            return [node.op], list(node.values)
        case ast.AugAssign():
            return [node.op], [node.target, node.value]
        case ast.Compare():
            return list(node.ops), [*node.comparators, node.left]
    return None


def _value(node: ast.AST) -> Any:
    return getattr(node, _NAMES.get(type(node), ""), node)
