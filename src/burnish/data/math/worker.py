"""The process behind `symbolic`: sympy is imported once, each question is answered by a fork."""

import json
import os
import select
import signal
import time
from fractions import Fraction
from typing import Any

MAX_BYTES = 2 * 1024**3  # of a child's memory
KILLED = {"error": "killed"}


def main() -> None:
    """Answer questions from stdin until it closes. One child each, killed at its deadline."""
    import sympy

    k, n = sympy.symbols("k n")
    for question in (sympy.Sum(k, (k, 1, n)), sympy.Sum(1 / k**2, (k, 1, sympy.oo)),
                     sympy.Sum(2**-k, (k, 1, sympy.oo)),
                     sympy.Integral(sympy.sin(k) + k, (k, 0, sympy.pi))):  # fmt: skip
        sympy.simplify(question.doit())  # forks begin with what this leaves in sympy's caches
    _say({"ready": True})
    children: dict[int, tuple[int, int, float]] = {}  # read end: pid, id, until
    buffer = b""
    while True:
        soonest = min((until for _, _, until in children.values()), default=None)
        wait = None if soonest is None else max(0.0, soonest - time.time())
        ready, _, _ = select.select([0, *children], [], [], wait)
        for end in [fd for fd in ready if fd in children]:
            _finish(children, end, killed=False)
        now = time.time()
        for end in [fd for fd, (_, _, until) in children.items() if until <= now]:
            _finish(children, end, killed=True)
        if 0 in ready:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                row = json.loads(line)
                end, pid = _fork(row)
                children[end] = (pid, row["id"], row["until"])
    for pid, _, _ in children.values():
        os.kill(pid, signal.SIGKILL)


def _fork(row: dict[str, Any]) -> tuple[int, int]:
    end, out = os.pipe()
    pid = os.fork()
    if pid:
        os.close(out)
        return end, pid
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    try:
        found = {"tree": solve(row["tree"])}
    except BaseException as error:  # whatever sympy raises is told, never guessed around
        found = {"error": f"{type(error).__name__}: {error}"[:200]}
    with os.fdopen(out, "w") as stream:
        json.dump(found, stream)
    os._exit(0)


def _finish(children: dict[int, tuple[int, int, float]], end: int, *, killed: bool) -> None:
    pid, number, until = children.pop(end)
    text = b""
    while not killed:
        if not select.select([end], [], [], max(0.0, until - time.time()))[0]:
            killed = True
            break
        chunk = os.read(end, 1 << 16)
        if not chunk:
            break
        text += chunk
    if killed:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(end)
    _say({"id": number, **(KILLED if killed or not text else json.loads(text))})


def _say(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


def solve(value: Any) -> Any:
    """The closed form of a tree, as JSON values. Raises: what sympy raises; ValueError for none."""
    import sympy

    from burnish.data.math.symbolic import from_json, to_json

    found = sympy.simplify(_to_sympy(from_json(value)).doit())
    if found.has(sympy.Sum, sympy.Product, sympy.Integral):
        raise ValueError("no closed form")
    return to_json(_from_sympy(found))


def _to_sympy(tree: Any) -> Any:
    import sympy

    kind = tree[0]
    if kind == "num":
        return sympy.Rational(tree[1].numerator, tree[1].denominator)
    if kind == "var":
        return sympy.Symbol(tree[1])
    if kind == "const":
        return {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "inf": sympy.oo}[tree[1]]
    if kind in ("add", "mul"):
        parts = [_to_sympy(part) for part in tree[1]]
        return sympy.Add(*parts) if kind == "add" else sympy.Mul(*parts)
    if kind == "pow":
        return sympy.Pow(_to_sympy(tree[1]), _to_sympy(tree[2]))
    if kind == "fn":
        return _function(tree[1], [_to_sympy(part) for part in tree[2]])
    _, which, name, low, high, body = tree
    maker = {"sum": sympy.Sum, "prod": sympy.Product, "int": sympy.Integral}[which]
    return maker(_to_sympy(body), (sympy.Symbol(name), _to_sympy(low), _to_sympy(high)))


def _function(name: str, given: list[Any]) -> Any:
    import sympy

    own = {"ln": sympy.log, "abs": sympy.Abs, "ceil": sympy.ceiling, "degrees": lambda x: x,
           "max": sympy.Max, "min": sympy.Min}  # fmt: skip
    return (own.get(name) or getattr(sympy, name.replace("arc", "a")))(*given)


def _from_sympy(value: Any) -> Any:
    import sympy

    if value.is_Rational:
        return ("num", Fraction(int(value.p), int(value.q)))
    if value.is_Symbol:
        return ("var", str(value))
    constants = {sympy.pi: "pi", sympy.E: "e", sympy.I: "i", sympy.oo: "inf"}
    if value in constants:
        return ("const", constants[value])
    parts = tuple(_from_sympy(part) for part in value.args)
    if value.is_Add or value.is_Mul:
        return ("add" if value.is_Add else "mul", parts)
    if value.is_Pow or isinstance(value, sympy.exp):
        return ("pow", *parts) if value.is_Pow else ("pow", ("const", "e"), parts[0])
    names = {"log": "ln", "Abs": "abs", "ceiling": "ceil", "Max": "max", "Min": "min"}
    name = type(value).__name__
    known = {"sin", "cos", "tan", "asin", "acos", "atan", "floor", "factorial", "binomial", *names}
    if name not in known:
        raise ValueError(f"{name} is not known")
    name = names.get(name, name)
    return ("fn", f"arc{name[1:]}" if name in ("asin", "acos", "atan") else name, parts)


if __name__ == "__main__":
    main()
