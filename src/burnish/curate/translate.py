"""Python functions printed as JavaScript or C: what a translated leak of a benchmark looks like."""

import ast
import textwrap
from dataclasses import dataclass
from typing import Literal

Target = Literal["javascript", "c"]
TARGETS: tuple[Target, ...] = ("javascript", "c")

BINARY = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%", ast.FloorDiv: "/",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.MatMult: "*",
}  # fmt: skip
UNARY = {ast.Not: "!", ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}
COMPARE = {
    ast.Eq: ("===", "=="), ast.NotEq: ("!==", "!="), ast.Lt: ("<", "<"), ast.LtE: ("<=", "<="),
    ast.Gt: (">", ">"), ast.GtE: (">=", ">="), ast.Is: ("===", "=="), ast.IsNot: ("!==", "!="),
}  # fmt: skip
CALLS = {
    "abs": ("Math.abs", "abs"), "max": ("Math.max", "max"), "min": ("Math.min", "min"),
    "round": ("Math.round", "round"), "int": ("Math.floor", "(int)"), "str": ("String", "to_str"),
    "float": ("Number", "(double)"), "print": ("console.log", "printf"), "set": ("new Set", "set"),
    "math.sqrt": ("Math.sqrt", "sqrt"), "math.floor": ("Math.floor", "floor"),
    "math.ceil": ("Math.ceil", "ceil"), "chr": ("String.fromCharCode", "(char)"),
}  # fmt: skip
METHODS = {
    "append": "push", "lower": "toLowerCase", "upper": "toUpperCase", "startswith": "startsWith",
    "endswith": "endsWith", "strip": "trim", "find": "indexOf", "index": "indexOf",
}  # fmt: skip
CONSTANTS = {True: ("true", "true"), False: ("false", "false"), None: ("null", "NULL")}


def translate(code: str, target: Target) -> str:
    """Functions of Python code in another language's words; "" where the code does not parse.

    Syntax and the names of common built-ins change, identifiers stay; docstrings become comments.
    The text is for comparison: it need not compile. Deterministic.
    Source: ours. Oracle: tests/curate/test_translate.py::test_known_translations
    """
    try:
        tree = ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    try:
        return _Printer(target).module(tree)
    except RecursionError:
        return ""


@dataclass
class _Printer:
    target: Target

    @property
    def _js(self) -> bool:
        return self.target == "javascript"

    def _pick(self, pair: tuple[str, str]) -> str:
        return pair[0] if self._js else pair[1]

    def module(self, tree: ast.Module) -> str:
        nodes = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom)]
        return "\n".join(line for node in nodes for line in self.statement(node, ""))

    def block(self, body: list[ast.stmt], pad: str) -> list[str]:
        return [line for node in body for line in self.statement(node, pad + "    ")]

    def statement(self, node: ast.stmt, pad: str) -> list[str]:
        found = getattr(self, f"_{type(node).__name__.lower()}", None)
        if found is not None:
            return found(node, pad)
        inner = [e for e in ast.iter_child_nodes(node) if isinstance(e, ast.expr)]
        return [f"{pad}{', '.join(map(self.expression, inner))};"]

    # ---- statements ----

    def _functiondef(self, node: ast.FunctionDef, pad: str) -> list[str]:
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        names = [name for name in names if name != "self"]
        body, lines = list(node.body), list[str]()
        if text := ast.get_docstring(node):
            body = body[1:]
            lines = [
                f"{pad}/**",
                *(f"{pad} * {x}".rstrip() for x in text.splitlines()),
                f"{pad} */",
            ]
        head = "function" if self._js else "int"
        arguments = ", ".join(names) if self._js else ", ".join(f"int {name}" for name in names)
        lines.append(f"{pad}{head} {node.name}({arguments}) {{")
        return [*lines, *self.block(body, pad), f"{pad}}}"]

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef, pad: str) -> list[str]:
        head = "class" if self._js else "struct"
        return [f"{pad}{head} {node.name} {{", *self.block(node.body, pad), f"{pad}}}"]

    def _return(self, node: ast.Return, pad: str) -> list[str]:
        value = f" {self.expression(node.value)}" if node.value else ""
        return [f"{pad}return{value};"]

    def _assign(self, node: ast.Assign, pad: str) -> list[str]:
        target = self.expression(node.targets[0])
        word = ("let " if self._js else "int ") if isinstance(node.targets[0], ast.Name) else ""
        return [f"{pad}{word}{target} = {self.expression(node.value)};"]

    def _annassign(self, node: ast.AnnAssign, pad: str) -> list[str]:
        value = self.expression(node.value) if node.value else "0"
        return [f"{pad}{'let' if self._js else 'int'} {self.expression(node.target)} = {value};"]

    def _augassign(self, node: ast.AugAssign, pad: str) -> list[str]:
        sign = BINARY.get(type(node.op), "*")
        return [f"{pad}{self.expression(node.target)} {sign}= {self.expression(node.value)};"]

    def _if(self, node: ast.If, pad: str) -> list[str]:
        lines = [f"{pad}if ({self.expression(node.test)}) {{", *self.block(node.body, pad)]
        if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
            rest = self._if(node.orelse[0], pad)
            return [*lines, f"{pad}}} else {rest[0].strip()}", *rest[1:]]
        if node.orelse:
            lines += [f"{pad}}} else {{", *self.block(node.orelse, pad)]
        return [*lines, f"{pad}}}"]

    def _while(self, node: ast.While, pad: str) -> list[str]:
        head = f"{pad}while ({self.expression(node.test)}) {{"
        return [head, *self.block(node.body, pad), f"{pad}}}"]

    def _for(self, node: ast.For, pad: str) -> list[str]:
        name, over = self.expression(node.target), node.iter
        call = (
            over.func.id if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) else ""
        )
        word = "let" if self._js else "int"
        if call == "range" and isinstance(over, ast.Call) and over.args:
            ends = [self.expression(a) for a in over.args]
            first, last = ("0", ends[0]) if len(ends) == 1 else (ends[0], ends[1])
            step = f"{name}++" if len(ends) < 3 else f"{name} += {ends[2]}"
            head = f"for ({word} {name} = {first}; {name} < {last}; {step}) {{"
        elif self._js:
            head = f"for (const {name} of {self.expression(over)}) {{"
        else:
            whole = self.expression(over)
            head = f"for (int i = 0; i < {whole}_size; i++) {{"
        return [pad + head, *self.block(node.body, pad), f"{pad}}}"]

    def _expr(self, node: ast.Expr, pad: str) -> list[str]:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return [f"{pad}// {line}" for line in node.value.value.strip().splitlines()]
        return [f"{pad}{self.expression(node.value)};"]

    def _pass(self, node: ast.Pass, pad: str) -> list[str]:
        return []

    def _break(self, node: ast.Break, pad: str) -> list[str]:
        return [f"{pad}break;"]

    def _continue(self, node: ast.Continue, pad: str) -> list[str]:
        return [f"{pad}continue;"]

    def _try(self, node: ast.Try, pad: str) -> list[str]:
        handlers = [s for handler in node.handlers for s in handler.body]
        middle = [f"{pad}}} catch (error) {{", *self.block(handlers, pad)]
        return [f"{pad}try {{", *self.block(node.body, pad), *middle, f"{pad}}}"]

    def _with(self, node: ast.With, pad: str) -> list[str]:
        return self.block(node.body, pad)

    # ---- expressions ----

    def expression(self, node: ast.AST) -> str:
        found = getattr(self, f"_{type(node).__name__.lower()}_", None)
        return found(node) if found is not None else ast.unparse(node)

    def _name_(self, node: ast.Name) -> str:
        return node.id

    def _constant_(self, node: ast.Constant) -> str:
        if isinstance(node.value, bool) or node.value is None:
            return self._pick(CONSTANTS[node.value])
        if isinstance(node.value, str):
            return '"' + node.value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return repr(node.value)

    def _binop_(self, node: ast.BinOp) -> str:
        left, right = self.expression(node.left), self.expression(node.right)
        if isinstance(node.op, ast.Pow):
            return f"{'Math.pow' if self._js else 'pow'}({left}, {right})"
        text = f"{left} {BINARY[type(node.op)]} {right}"
        return f"Math.floor({text})" if isinstance(node.op, ast.FloorDiv) and self._js else text

    def _boolop_(self, node: ast.BoolOp) -> str:
        sign = " && " if isinstance(node.op, ast.And) else " || "
        return sign.join(self.expression(value) for value in node.values)

    def _unaryop_(self, node: ast.UnaryOp) -> str:
        return UNARY[type(node.op)] + self.expression(node.operand)

    def _compare_(self, node: ast.Compare) -> str:
        parts, left = list[str](), self.expression(node.left)
        for op, other in zip(node.ops, node.comparators, strict=True):
            right = self.expression(other)
            if isinstance(op, ast.In | ast.NotIn):
                inside = f"{right}.includes({left})" if self._js else f"contains({right}, {left})"
                parts.append(inside if isinstance(op, ast.In) else f"!{inside}")
            else:
                parts.append(f"{left} {self._pick(COMPARE[type(op)])} {right}")
            left = right
        return " && ".join(parts)

    def _call_(self, node: ast.Call) -> str:
        given = ", ".join(self.expression(a) for a in node.args)
        name = ast.unparse(node.func)
        if name == "len" and node.args:
            whole = self.expression(node.args[0])
            return f"{whole}.length" if self._js else f"strlen({whole})"
        if name in CALLS:
            return f"{self._pick(CALLS[name])}({given})"
        if isinstance(node.func, ast.Attribute):
            owner, method = self.expression(node.func.value), node.func.attr
            if self._js:
                return f"{owner}.{METHODS.get(method, method)}({given})"
            return f"{method}({owner}{', ' * bool(given)}{given})"
        return f"{self.expression(node.func)}({given})"

    def _attribute_(self, node: ast.Attribute) -> str:
        return f"{self.expression(node.value)}.{node.attr}"

    def _subscript_(self, node: ast.Subscript) -> str:
        owner, part = self.expression(node.value), node.slice
        if isinstance(part, ast.Slice):
            ends = [self.expression(e) if e else "0" for e in (part.lower, part.upper)]
            name = f"{owner}.slice(" if self._js else f"slice({owner}, "
            return f"{name}{', '.join(ends)})"
        return f"{owner}[{self.expression(part)}]"

    def _list_(self, node: ast.List | ast.Tuple | ast.Set) -> str:
        inner = ", ".join(self.expression(e) for e in node.elts)
        return f"[{inner}]" if self._js else f"{{{inner}}}"

    _tuple_ = _list_
    _set_ = _list_

    def _dict_(self, node: ast.Dict) -> str:
        pairs = zip(node.keys, node.values, strict=True)
        inner = [f"{self.expression(k) if k else '...'}: {self.expression(v)}" for k, v in pairs]
        return f"{{{', '.join(inner)}}}"

    def _ifexp_(self, node: ast.IfExp) -> str:
        parts = [self.expression(e) for e in (node.test, node.body, node.orelse)]
        return f"{parts[0]} ? {parts[1]} : {parts[2]}"

    def _lambda_(self, node: ast.Lambda) -> str:
        names = ", ".join(a.arg for a in node.args.args)
        return f"({names}) => {self.expression(node.body)}"

    def _listcomp_(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> str:
        part = node.generators[0]
        name, over = self.expression(part.target), self.expression(part.iter)
        tests = "".join(f".filter({name} => {self.expression(test)})" for test in part.ifs)
        return f"{over}{tests}.map({name} => {self.expression(node.elt)})"

    _generatorexp_ = _listcomp_
    _setcomp_ = _listcomp_
