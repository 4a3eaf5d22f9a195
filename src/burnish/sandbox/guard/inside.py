"""Runs inside the sandbox, without burnish: the judge and the tested code in two processes.

The asserts live in the judge alone. The tested code is loaded in a child that was made before the
asserts were read; what the asserts call are stubs, and only plain data crosses: an object whose
`__eq__` always agrees stays on its own side. The judge cannot be looked into (non-dumpable), and
it alone holds the descriptor through which a verdict leaves. Where a value cannot cross, the
caller asks for a second way: the statements go to the child one by one (`together.py`).
"""

import ast
import builtins
import contextlib
import ctypes
import importlib
import json
import os
import runpy
import sys
import types

REPORT_FD = 3
STARTED = b"~"  # before the report: the judge lives
MARKS = {"strained": b"!", "split": b"&"}  # a value could not cross; two copies came apart
HERE = os.path.dirname(__file__)
BORDER = types.SimpleNamespace(**runpy.run_path(os.path.join(HERE, "border.py")))
TOGETHER = types.SimpleNamespace(**runpy.run_path(os.path.join(HERE, "together.py")))
CROSSING = BORDER.CROSSING
MODULE = "main"  # the tested code is imported: what stands under its main guard does not run
FOUND_NO = "no function {!r}"


# ---- the side of the tested code ----


def _play(reading, writing):
    """Load the code that comes over the line, and serve what it defines."""
    os.close(REPORT_FD)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    peer = BORDER.Peer(reading, writing, False)
    code, together = peer.receive()
    module = types.ModuleType(MODULE)
    module.__dict__.update(__file__=MODULE + ".py", __builtins__=builtins)
    sys.modules["__main__"] = sys.modules[MODULE] = module
    sys.path[0], sys.argv = os.getcwd(), [MODULE + ".py"]
    runner = TOGETHER.Runner(module) if together else None
    try:
        _load(peer, code, module)
        peer.send(["names", {} if together else _describe(peer, module)])
        while True:
            if runner:
                peer.send(runner.run(*peer.receive()))
            else:
                peer.answer(peer.receive())
    except BORDER.Gone:
        os._exit(0)
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _load(peer, code, module):
    try:
        program = compile(code, module.__file__, "exec")
    except (SyntaxError, ValueError) as error:
        peer.send(["syntax", CROSSING.text_of(error)])
        os._exit(0)
    try:
        exec(program, module.__dict__)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        import traceback

        traceback.print_exc()
        peer.send(["crash", type(error).__name__, CROSSING.text_of(error)])
        os._exit(0)


def _describe(peer, module):
    found, peer.names = {}, module.__dict__
    for name, value in list(module.__dict__.items()):
        if name.startswith("__"):
            continue
        if isinstance(value, types.ModuleType):
            found[name] = ["module", value.__name__]
        elif isinstance(value, type) and issubclass(value, Exception):
            found[name] = ["exception", [c.__name__ for c in value.__mro__]]
        else:
            session = CROSSING.Session()
            try:
                found[name] = ["value", CROSSING.encode(peer, session, value)]
            except Exception:
                found[name] = ["value", peer.export(value)]
            peer.containers[name] = session.containers
    return found


# ---- the side of the asserts ----


def _hide():
    """Nobody of the same user may look into this process from now on."""
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def _namespace(peer, names, used):
    """What the asserts see: stubs for what the code defines, modules by their names."""
    module = sys.modules["__main__"] = types.ModuleType(BORDER.SCRIPT)
    found, copied = module.__dict__, []
    found["__builtins__"] = builtins
    for name, (kind, what) in names.items():
        if kind == "module":
            with contextlib.suppress(ImportError):  # not here for the asserts either
                found[name] = importlib.import_module(what)
        elif kind == "exception":
            base = next(getattr(builtins, n) for n in what if hasattr(builtins, n))
            found[name] = peer.errors[name] = type(name, (base,), {})
        else:
            session, reported = CROSSING.Session(), peer.reported
            if name not in used:
                peer.reported = {"strained"}  # no assert can see it
            found[name] = CROSSING.decode(peer, session, what)
            peer.reported = reported
            if name in used and not isinstance(found[name], BORDER.Foreign):
                copied.append(name)
                peer.shared.add(session.containers)
    if copied:
        peer.ask("watch", copied)
    return found


def _check(peer, request):
    """Run the asserts, or the call; returns the result."""
    together = bool(request.get("together"))
    peer.send([request["code"], together])
    first = peer.receive()
    if first[0] == "syntax":
        return {"status": "compile_error", "reason": first[1]}
    if first[0] == "crash":
        return {"status": "runtime_error", "reason": "{}: {}".format(*first[1:3])}
    if together:
        return TOGETHER.check(peer, request["asserts"])
    if "function" in request:
        return _call(peer, _namespace(peer, first[1], ()), request)
    tree = TOGETHER.counting(ast.parse(request["asserts"]))
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    if TOGETHER.looks_inside(tree):
        peer.strain()
    peer.identities = TOGETHER.asks_for_identity(tree)
    names = _namespace(peer, first[1], used)
    counted = TOGETHER.Counted()
    names[TOGETHER.COUNT] = counted.note
    sys.argv = [MODULE + ".py"]
    before = peer.num_asked
    try:
        exec(compile(tree, TOGETHER.FILE, "exec"), names)
    except AssertionError as error:
        if hasattr(error, "from_code"):
            raise
        return {"status": "wrong_answer", "reason": _failed_line(error, request["asserts"])}
    except SystemExit as end:
        if end.code:
            return {"status": "wrong_answer", "reason": f"the tests ended with {end.code!r}"}
    if peer.num_asked == before and not counted.num:
        return {"status": "unchecked", "reason": TOGETHER.UNCHECKED}
    return {"status": "accepted", "reason": ""}


def _call(peer, names, request):
    """Call the function, or the method of that name of the code's class."""
    name = request["function"]
    function = names.get(name)
    if function is None:
        classes = [c for n, c in names.items() if type(c) is BORDER.Foreign and n != "__builtins__"]
        classes.sort(key=lambda c: c is not names.get("Solution"))
        for cls in classes:
            with contextlib.suppress(AttributeError):
                getattr(cls, name)
                function = getattr(cls(), name)
                break
    if function is None:
        return {"status": "runtime_error", "reason": FOUND_NO.format(name)}
    CROSSING.encode(peer, CROSSING.Session(), request["args"])  # the problem's own, if they cannot
    try:
        value = function(*request["args"])
        if isinstance(value, types.CoroutineType):
            value = CROSSING.run_coroutine(value)
        return {"status": "value", "value": _shown(peer, value)}
    except CROSSING.Uncrossable as error:
        return {"status": "runtime_error", "reason": f"the result holds {error}"}


def _shown(peer, value, depth=0):
    """A result as tagged JSON, which `values.read_shown` reads outside."""
    if depth > CROSSING.MAX_DEPTH:
        raise RecursionError("the result is nested too deeply")
    if type(value) is BORDER.Foreign:
        number = value._foreign[1]
        plain = peer.ask("data", number)
        if not plain:
            return ["o", {"object": value._foreign[2]}]
        return _shown(peer, plain[0], depth + 1)
    kind = type(value)
    if kind is int:
        return ["x", hex(value)]
    if kind in CROSSING.PLAIN:
        return value
    if isinstance(value, set | frozenset):
        return ["s", [_shown(peer, v, depth + 1) for v in value]]
    if isinstance(value, dict):
        pairs = [(_shown(peer, k, depth + 1), _shown(peer, v, depth + 1)) for k, v in value.items()]
        return ["d", pairs]
    if hasattr(value, "__iter__") and not isinstance(value, bytes | bytearray):
        return ["l", [_shown(peer, v, depth + 1) for v in value]]
    return ["o", str(value)]


def _failed_line(error, asserts):
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == TOGETHER.FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return TOGETHER.shown_line(line, asserts)


def _guarded(peer, request, child):
    try:
        return _check(peer, request)
    except BORDER.Gone:
        _, status = os.waitpid(child, 0)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return {
            "status": "ended",
            "exit_code": os.waitstatus_to_exitcode(status),
            "reason": f"signal {number}" if number else "",
        }
    except CROSSING.Uncrossable as error:
        peer.strain()
        return {"status": "uncrossable", "reason": f"{error} cannot be handed over"}
    except BaseException as error:
        reason = getattr(error, "from_code", None)
        told = reason or f"{type(error).__name__}: {CROSSING.text_of(error)}"
        return {"status": "runtime_error", "reason": told}


def _report(data):
    while data:
        data = data[os.write(REPORT_FD, data) :]


def main():
    """Fork, then read what is to be judged, and judge it."""
    BORDER.forward_operations()
    there, here = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(there[1])
        os.close(here[0])
        _play(there[0], here[1])
    os.close(there[0])
    os.close(here[1])
    _hide()
    _report(STARTED)
    sys.set_int_max_str_digits(0)
    request = json.loads(sys.stdin.buffer.read())
    peer = BORDER.Peer(here[0], there[1], True, report=lambda word: _report(MARKS[word]))
    result = _guarded(peer, request, child)
    peer.look()
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 9)
    if peer.tampering:
        result = {"status": "security_violation", "reason": str(peer.tampering[0])}
    _report(json.dumps(dict(result, nonce=request["nonce"])).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
