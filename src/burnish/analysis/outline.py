"""The outline of a program: statements with their branches, the same for every language."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from burnish.analysis.roles import Roles
from burnish.sandbox.syntax import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

Kind = Literal["simple", "if", "loop", "do", "switch", "try", "break", "continue", "leave"]
BODY_FIELDS = ("consequence", "body", "block")
NOT_BODY_FIELDS = {"condition", "value", "variable", "pattern", "parameter", "parameters", "name"}


@dataclass(kw_only=True, eq=False)
class Statement:
    """One statement. `branches` are the bodies it chooses among, in the order of the text.

    `block` says whether it is in a block; if not, it is the only statement of a branch
    without braces. `exhaustive`: one of the branches is always taken (`else`, `default`).
    """

    kind: Kind
    node: "Node"
    branches: list[list["Statement"]] = field(default_factory=list)
    exhaustive: bool = False
    block: bool = True

    @property
    def line(self) -> int:
        """The first line, counted from 1."""
        return self.node.start_point[0] + 1

    def walk(self) -> Iterator["Statement"]:
        """This statement and all inside its branches."""
        yield self
        for branch in self.branches:
            for statement in branch:
                yield from statement.walk()


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function, or the program outside all functions (`name` is empty)."""

    name: str
    node: "Node"
    body: list[Statement]
    num_parameters: int


class Outliner:
    """Reads outlines out of syntax trees of one language."""

    def __init__(self, roles: Roles) -> None:
        self.roles = roles

    def functions(self, root: "Node") -> list[Function]:
        """The program's top level, then every function in the order of the text."""
        top = Function(name="", node=root, body=self.statements(root), num_parameters=0)
        found = [self._function(n) for n in descendants(root) if n.type in self.roles.functions]
        return [top, *found]

    def statements(self, node: "Node", *, skip: Sequence["Node"] = ()) -> list[Statement]:
        """The statements of a container; of anything else, itself as the only one."""
        roles = self.roles
        if node.type not in roles.containers and not skip:
            return [self._statement(node, block=False)]
        found = []
        for child in node.named_children:
            if child.type in roles.comments or child in skip or child.is_error:
                continue
            if child.type in roles.containers and child.type not in roles.elses:
                found += self.statements(child)
            else:
                chained = node.type in roles.elses and child.type in roles.ifs
                found.append(self._statement(child, block=not chained))
        return found

    def _function(self, node: "Node") -> Function:
        body = _field(node, *BODY_FIELDS)
        name = node.child_by_field_name("name") or _declared_name(node)
        parameters = _parameters(node)
        count = len([p for p in parameters.named_children if p.type not in self.roles.comments]) if parameters else 0  # fmt: skip  # noqa: E501
        return Function(
            name=text_of(name).split("(")[0] if name else "(anonymous)",
            node=node,
            body=self.statements(body) if body else [],
            num_parameters=count,
        )

    def _statement(self, node: "Node", *, block: bool) -> Statement:
        roles, inner = self.roles, self._unwrapped(node)
        if inner.type in roles.ifs:
            statement = self._if(inner)
        elif inner.type in roles.loops | roles.dos:
            kind = "do" if inner.type in roles.dos else "loop"
            statement = Statement(kind=kind, node=inner, branches=[self._body(inner)])
        elif inner.type in roles.switches:
            statement = self._switch(inner)
        elif inner.type in roles.tries:
            statement = self._try(inner)
        else:
            statement = Statement(kind=self._leaf_kind(inner), node=inner)
        statement.node, statement.block = node, block
        return statement

    def _unwrapped(self, node: "Node") -> "Node":
        """What a statement is about: labels and expression statements are looked through."""
        while node.type in self.roles.wrappers or node.type == "labeled_statement":
            inner = [c for c in node.named_children if c.type not in self.roles.comments]
            if not inner or (len(inner) > 1 and node.type != "labeled_statement"):
                return node
            node = inner[-1]
        return node

    def _leaf_kind(self, node: "Node") -> Kind:
        roles = self.roles
        word = text_of(node).split(None, 1)[0].rstrip(";") if node.type == "command" else ""
        if node.type == "loopex_expression":
            return "continue" if text_of(node).startswith("next") else "break"
        if node.type in roles.breaks or word == "break":
            return "break"
        if node.type in roles.continues or word == "continue":
            return "continue"
        return "leave" if node.type in roles.leaves or word in {"return", "exit"} else "simple"

    def _if(self, node: "Node") -> Statement:
        """`elif` chains become an `if` in the `else` branch of the one before."""
        alternatives = self._alternatives(node)
        statement = Statement(kind="if", node=node, branches=[self._body(node)])
        current = statement
        for alternative in alternatives:
            if alternative.type in self.roles.elifs:
                nested = self._if(alternative)
                nested.block = False
                current.branches.append([nested])
                current.exhaustive = True
                while nested.exhaustive and nested.branches[-1][:1] and _is_chain(nested):
                    nested = nested.branches[-1][0]
                current = nested
            else:
                current.branches.append(self.statements(alternative))
                current.exhaustive = True
        return statement

    def _alternatives(self, node: "Node") -> list["Node"]:
        named = node.children_by_field_name("alternative")
        either = self.roles.elifs | self.roles.elses
        return [c for c in node.named_children if c.type in either or c in named]

    def _body(self, node: "Node") -> list[Statement]:
        body = _field(node, *BODY_FIELDS)
        if body is not None and body.type not in self.roles.elifs | self.roles.elses:
            return self.statements(body)
        return self.statements(node, skip=self._not_body(node))

    def _not_body(self, node: "Node") -> list["Node"]:
        """Children that are no statements of a body without a node of its own, as in bash."""
        either = self.roles.elifs | self.roles.elses
        out = [c for c in node.named_children if c.type in either]
        for i, child in enumerate(node.children):
            if node.field_name_for_child(i) in NOT_BODY_FIELDS:
                out.append(child)
        if node.type in self.roles.elifs and not node.child_by_field_name("condition"):
            out += node.named_children[:1]
        return out or [node]

    def _switch(self, node: "Node") -> Statement:
        roles = self.roles
        cases = [n for n in _shallow(node, roles.cases | roles.defaults, roles.switches)]
        branches = []
        for case in cases:
            body = _field(case, *BODY_FIELDS, "value") if case.type == "match_arm" else None
            body = body or _field(case, "body", "consequence")
            branches.append(self.statements(body) if body else self._case_body(case))
        exhaustive = any(self._is_default(case) for case in cases)
        return Statement(kind="switch", node=node, branches=branches, exhaustive=exhaustive)

    def _case_body(self, case: "Node") -> list[Statement]:
        heads = {"switch_label", "case_switch_label", "default_switch_label", "declaration_pattern",
                 "constant_pattern", "expression_list", "when_clause"}  # fmt: skip
        return self.statements(
            case, skip=[*self._not_body(case), *(c for c in case.named_children if c.type in heads)]
        )

    def _is_default(self, case: "Node") -> bool:
        if case.type in self.roles.defaults:
            return True
        text = text_of(case).lstrip("( ")
        return text.startswith(("default", "_", "*", "case _:"))

    def _try(self, node: "Node") -> Statement:
        roles = self.roles
        handlers = [c for c in node.named_children if c.type in roles.catches]
        finals = [c for c in node.named_children if c.type in roles.finals]
        others = [c for c in node.named_children if c.type in roles.elses]
        body = _field(node, *BODY_FIELDS)
        if body is not None:
            first = self.statements(body)
        else:
            first = self.statements(node, skip=[*handlers, *finals, *others] or [node])
        first += [s for other in others for s in self.statements(other)]
        branches = [first]
        branches += [self._body(handler) for handler in handlers]
        after = [s for final in finals for s in self._body(final)]
        statement = Statement(kind="try", node=node, branches=branches, exhaustive=True)
        if after:
            statement.branches.append(after)
            statement.exhaustive = False  # the last branch runs after the others
        return statement


def descendants(node: "Node") -> Iterator["Node"]:
    """All named nodes below `node`, in the order of the text."""
    stack = list(reversed(node.named_children))
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.named_children))


def _shallow(node: "Node", wanted: frozenset[str], barrier: frozenset[str]) -> Iterator["Node"]:
    for child in node.named_children:
        if child.type in wanted:
            yield child
        elif child.type not in barrier:
            yield from _shallow(child, wanted, barrier)


def _field(node: "Node", *names: str) -> "Node | None":
    return next((c for name in names if (c := node.child_by_field_name(name)) is not None), None)


def _is_chain(statement: Statement) -> bool:
    last = statement.branches[-1]
    return len(last) == 1 and last[0].kind == "if" and not last[0].block


def _declared_name(node: "Node") -> "Node | None":
    declarator = node.child_by_field_name("declarator")
    while declarator is not None and (inner := declarator.child_by_field_name("declarator")):
        declarator = inner
    return declarator


def _parameters(node: "Node") -> "Node | None":
    declarator = node.child_by_field_name("declarator")
    while declarator is not None:
        if found := declarator.child_by_field_name("parameters"):
            return found
        declarator = declarator.child_by_field_name("declarator")
    return node.child_by_field_name("parameters")
