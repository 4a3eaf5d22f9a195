"""Runs inside the sandbox, without burnish: the judge and the tested code in two processes.

The asserts live in the judge alone. The tested code is loaded in a child that was made before the
asserts were read; what the asserts call are stubs, and only plain data crosses the border: an
object whose `__eq__` always agrees stays on its own side. The judge cannot be looked into
(non-dumpable), and it alone holds the descriptor through which a verdict leaves.
"""

import builtins
import collections
import contextlib
import importlib
import json
import os
import runpy
import sys
import types

REPORT_FD = 3
BORDER = types.SimpleNamespace(
    **runpy.run_path(os.path.join(os.path.dirname(__file__), "border.py"))
)


# ---- the side of the tested code ----


def _play(reading, writing):
    """Load the code that comes over the line, and serve what it defines."""
    os.close(REPORT_FD)
    empty = os.open(os.devnull, os.O_RDWR)
    os.dup2(empty, 0)
    peer = BORDER.Peer(reading, writing, False)
    code = peer.receive()
    module = types.ModuleType("__main__")
    module.__dict__["__file__"] = "main.py"
    sys.modules["__main__"] = module
    sys.path.insert(0, os.getcwd())
    try:
        try:
            program = compile(code, "main.py", "exec")
        except (SyntaxError, ValueError) as error:
            peer.send(["syntax", BORDER.text_of(error)])
            os._exit(0)
        try:
            exec(program, module.__dict__)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            import traceback

            traceback.print_exc()
            peer.send(["crash", type(error).__name__, BORDER.text_of(error)])
            os._exit(0)
        peer.send(["names", _describe(peer, module)])
        while True:
            peer.answer(peer.receive())
    except BORDER.Gone:
        os._exit(0)
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _describe(peer, module):
    found = {}
    for name, value in list(module.__dict__.items()):
        if name.startswith("__"):
            continue
        if isinstance(value, types.ModuleType):
            found[name] = ["module", value.__name__]
        elif isinstance(value, type) and issubclass(value, Exception):
            found[name] = ["exception", [c.__name__ for c in value.__mro__]]
        else:
            try:
                found[name] = ["value", peer.encode(value)]
            except Exception:
                found[name] = ["value", peer.export(value)]
    return found


# ---- the side of the asserts ----


def _hide():
    """Nobody of the same user may look into this process from now on."""
    import ctypes

    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def _namespace(peer, names):
    """What the asserts see: stubs for what the code defines, modules by their names."""
    found = {"__name__": BORDER.SCRIPT, "__builtins__": builtins}
    for name, (kind, what) in names.items():
        if kind == "module":
            if what.partition(".")[0] in sys.stdlib_module_names:
                found[name] = importlib.import_module(what)
        elif kind == "exception":
            base = next(getattr(builtins, n) for n in what if hasattr(builtins, n))
            found[name] = peer.errors[name] = type(name, (base,), {})
        else:
            found[name] = peer.decode(what)
    return found


def _check(peer, request):
    """Run the asserts; returns what came of it."""
    peer.send(request["code"])
    first = peer.receive()
    if first[0] == "syntax":
        return {"status": "compile_error", "reason": first[1]}
    if first[0] == "crash":
        return {"status": "runtime_error", "reason": "{}: {}".format(*tuple(first[1:]))}
    names = _namespace(peer, first[1])
    if "function" in request:
        if request["function"] not in names:
            return {
                "status": "runtime_error",
                "reason": "no function {!r}".format(request["function"]),
            }
        value = names[request["function"]](*request["args"])
        return {"status": "value", "value": _shown(value)}
    try:
        exec(compile(request["asserts"], "<asserts>", "exec"), names)
    except AssertionError as error:
        if not hasattr(error, "from_code"):
            return {"status": "wrong_answer", "reason": _failed_line(error, request["asserts"])}
        raise
    return {"status": "accepted", "reason": ""}


def _shown(value):
    """A result as JSON; tuples become lists, as they do in the problem's own JSON."""
    if isinstance(value, BORDER.Foreign):
        return {"object": value._foreign[2]}
    if isinstance(value, list | tuple | collections.deque) or type(value) in BORDER.ITERATORS:
        return [_shown(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((_shown(v) for v in value), key=repr)
    if isinstance(value, dict):
        return {
            k if isinstance(k, str) else json.dumps(_shown(k)): _shown(v) for k, v in value.items()
        }
    return value if type(value) in BORDER.PLAIN else str(value)


def _failed_line(error, asserts):
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == "<asserts>":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = asserts.splitlines()
    text = lines[line - 1].strip()[:120] if 0 < line <= len(lines) else ""
    return f"line {line}: {text}"


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
    except BaseException as error:
        reason = getattr(error, "from_code", None)
        told = reason or f"{type(error).__name__}: {BORDER.text_of(error)}"
        handing = isinstance(error, TypeError) and "handed to the code" in told
        return {"status": "infrastructure_error" if handing else "runtime_error", "reason": told}


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
    request = json.loads(sys.stdin.buffer.read())
    peer = BORDER.Peer(here[0], there[1], True)
    result = _guarded(peer, request, child)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 9)
    if peer.tampering:
        result = {"status": "security_violation", "reason": peer.tampering[0]}
    data = json.dumps(dict(result, nonce=request["nonce"])).encode()
    while data:
        data = data[os.write(REPORT_FD, data) :]
    os._exit(0)


if __name__ == "__main__":
    main()
