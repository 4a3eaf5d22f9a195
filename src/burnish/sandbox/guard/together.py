"""The second way: the asserts run in the process of the tested code, one statement at a time.

Runs inside the sandbox, without burnish; `inside.py` loads it by its path. The judge stays in its
own process and keeps the asserts: it sends a statement as compiled code when its turn has come, of
`assert f(x) == y` first the left side, and waits for the answer. Between them it sends canaries,
asserts that fail, so that code which swallows failures is found. An early exit leaves a statement
without an answer; equality that agrees with everything is tried on an object that it never saw;
looking at the frames or objects of the interpreter is noted by an audit hook.
"""

import ast
import contextlib
import functools
import marshal
import random
import sys
import threading

FILE = "<asserts>"
COUNT, EQUAL, LEFT = "__burnish_count__", "__burnish_equal__", "__burnish_left__"
CANARIES = ("assert 1 == 2", "assert [3] == [4]", "assert not 5 == 5")
FLATTERY = "an object whose equality agrees with everything"
AGREEABLE = "an object that contains everything, or is less and greater than everything"
OPPOSITES = {  # what says yes to anything: itself for two unlike objects, or both sides of an order
    "__eq__": "__eq__", "__contains__": "__contains__", "__lt__": "__gt__", "__gt__": "__lt__",
    "__le__": "__ge__", "__ge__": "__le__",
}  # fmt: skip
SWALLOWED = "a planted assert that fails did not: the code swallows failures"
PEEPING = "the code looked for its judge: "
UNCHECKED = "the tests ran to their end and checked nothing of the code"
WATCHED = {
    "sys._getframe", "sys._current_frames", "gc.get_objects", "gc.get_referrers",
    "gc.get_referents", "sys.settrace", "sys.setprofile", "sys.addaudithook",
}  # fmt: skip
INSIDE = {  # what asserts read or set of the process that the code runs in, or of its functions
    "redirect_stdout", "redirect_stderr", "stdin", "stdout", "stderr", "patch", "mock", "Mock",
    "MagicMock", "monkeypatch", "capsys", "input", "print", "builtins", "seed", "setstate",
    "manual_seed", "environ", "chdir", "getcwd", "catch_warnings", "assertWarns", "assertLogs",
    "assertWarnsRegex", "assertNoLogs", "getLogger", "getcontext", "setcontext", "localcontext",
    "setlocale", "modules", "setrecursionlimit", "globals", "__globals__", "__code__", "__dict__",
    "__name__", "__qualname__", "__module__", "__class__", "__annotations__", "__wrapped__",
    "get_type_hints", "signature", "getsource", "getfullargspec", "isfunction", "isclass",
    "iscoroutinefunction", "isgeneratorfunction", "FunctionType", "LambdaType", "MethodType",
    "testmod", "run_docstring_examples", "refcount", "ref", "current_thread", "freeze_time",
    "setattr", "delattr", "exc_info", "format_exc", "print_exc", "__cause__", "__context__",
    "__notes__", "__traceback__", "ExceptionGroup",
}  # fmt: skip
SPY_MODULES = ("inspect.py", "gc.py", "traceback.py")


class Counted:
    """How many asserts were reached."""

    def __init__(self):
        self.num = 0

    def note(self):
        """Count one more assert."""
        self.num += 1


class _Unlike:
    """Equal to nothing but itself, and unknown to everyone."""

    __slots__ = ()


class _Instrument(ast.NodeTransformer):
    """Counts asserts that are reached; with `equality`, compares through a function of ours."""

    def __init__(self, equality):
        self.equality = equality

    def visit_Assert(self, node):
        self.generic_visit(node)
        count = ast.Expr(ast.Call(ast.Name(COUNT, ast.Load()), [], []))
        return [ast.fix_missing_locations(ast.copy_location(count, node)), node]

    def visit_Compare(self, node):
        self.generic_visit(node)
        if not self.equality or len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq):
            return node
        sides = [node.left, node.comparators[0]]
        call = ast.Call(ast.Name(EQUAL, ast.Load()), sides, [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


def counting(tree, *, equality=False):
    """The tree of a script that counts the asserts that it reaches."""
    return ast.fix_missing_locations(_Instrument(equality).visit(tree))


def looks_inside(tree):
    """Whether a script uses what two processes do not share: a verdict against may be its fault."""
    for node in ast.walk(tree):
        if getattr(node, "id", getattr(node, "attr", "")) in INSIDE:
            return True
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = {name.name.rpartition(".")[2] for name in node.names}
            if names & INSIDE:
                return True
        if isinstance(node, ast.ClassDef):
            bases = {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
            if bases - {"object", "TestCase"}:  # perhaps a class of the code
                return True
    return _reads_exceptions(tree)


def asks_for_identity(tree):
    """Whether a script compares identities of other than constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            of_two = not any(isinstance(side, ast.Constant) for side in sides)
            if of_two and any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
                return True
        if getattr(node, "id", getattr(node, "attr", "")) in ("id", "assertIs", "assertIsNot"):
            return True
    return False


def _reads_exceptions(tree):
    """Whether a script reads more of an exception than its arguments, which alone cross."""
    nodes = list(ast.walk(tree))
    caught = {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    holders = {
        item.optional_vars.id
        for node in nodes
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name)
    }

    def is_caught(node):  # `e`, or `info.value` of pytest's, `context.exception` of unittest's
        if isinstance(node, ast.Attribute) and node.attr in ("exception", "value"):
            return getattr(node.value, "id", "") in holders
        return getattr(node, "id", "") in caught

    for node in nodes:
        if isinstance(node, ast.Assign) and is_caught(node.value):
            caught |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return any(
        isinstance(n, ast.Attribute) and n.attr != "args" and is_caught(n.value) for n in nodes
    )


def shown_line(line, asserts):
    """A line of the asserts, as a reason quotes it."""
    lines = asserts.splitlines()
    text = lines[line - 1].strip()[:120] if 0 < line <= len(lines) else ""
    return f"line {line}: {text}"


# ---- the side of the judge ----


def check(peer, asserts):
    """Send the statements one by one; returns the result."""
    places = _canaries(asserts)
    for index, steps in enumerate(_statements(asserts)):
        for canary in places.get(index, ()):
            peer.send([_packed(ast.parse(canary))])
            if peer.receive()[:2] != ["raised", "script"]:
                return {"status": "security_violation", "reason": SWALLOWED}
        for packed in steps:
            peer.send([packed])
            told = peer.receive()
            peer.tampering += told[-1]
            if told[0] == "raised":
                return _failure(told, asserts)
            if told[0] == "exit":
                return {"status": "accepted", "reason": ""}
    return {"status": "accepted", "reason": ""}


def _failure(told, asserts):
    _, where, line, text, _ = told
    if where == "script":
        return {"status": "wrong_answer", "reason": shown_line(line, asserts)}
    if where == "exit":
        return {"status": "wrong_answer", "reason": f"the tests ended with {text}"}
    return {"status": "runtime_error", "reason": text}


def _canaries(asserts):
    """Where the planted asserts stand: one before the first statement, others anywhere."""
    choice, num = random.SystemRandom(), len(ast.parse(asserts).body)
    places = {0: [choice.choice(CANARIES)]}
    for _ in range(2):
        places.setdefault(choice.randrange(num), []).append(choice.choice(CANARIES))
    return places


def _statements(asserts):
    """For each statement at the top its steps, as compiled code."""
    tree = ast.parse(asserts)
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            import __future__

            for name in node.names:
                flags |= getattr(__future__, name.name).compiler_flag
    for node in tree.body:
        test = getattr(node, "test", None)
        if isinstance(node, ast.Assert) and isinstance(test, ast.Compare) and len(test.ops) == 1:
            kept = ast.Assign([ast.Name(LEFT, ast.Store())], test.left)
            first = ast.Module([ast.fix_missing_locations(ast.copy_location(kept, node))], [])
            test.left = ast.copy_location(ast.Name(LEFT, ast.Load()), test.left)
            yield [_packed(first, flags), _packed(ast.Module([node], []), flags)]
        else:
            yield [_packed(ast.Module([node], []), flags)]


def _packed(tree, flags=0):
    code = compile(counting(tree, equality=True), FILE, "exec", flags, dont_inherit=True)
    return marshal.dumps(code).hex()


# ---- the side of the tested code ----


class Runner:
    """Runs statements of the asserts among what the code defined.

    All that it needs is taken before the code is loaded, so that replacing builtins changes
    nothing here.
    """

    def __init__(self, module):
        self.module, self.file, self.tampering = module, module.__file__, []
        self.counted, self.active, self.started = Counted(), False, False
        self._exec, self._load, self._hex = exec, marshal.loads, bytes.fromhex
        self._quiet = (sys.settrace, sys.setprofile, threading.settrace, threading.setprofile)
        self._isinstance, self._type, self._exit = isinstance, type, SystemExit
        self._failed = AssertionError
        sys.addaudithook(self._hook(sys._getframe))

    def run(self, packed):
        """Run one statement; returns the message for the judge."""
        if not self.started:
            self._start()
        self.active = False
        for function in self._quiet:
            function(None)
        self.active = True
        try:
            self._exec(self._load(self._hex(packed)), self.module.__dict__)
            return ["done", self._told()]
        except BaseException as error:
            return self._raised(error)
        finally:
            self.active = False

    def _start(self):
        names = self.module.__dict__
        names.update({"__name__": "__main__", COUNT: self.counted.note, EQUAL: self._equal})
        for cls in _subclasses(object):
            if getattr(cls, "__module__", "") == "main":
                for name in OPPOSITES:
                    if name in vars(cls):
                        self._watch(cls, name)
        self.started = True

    def _raised(self, error):
        frames, trace = [], error.__traceback__
        while trace:
            frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        files = [file for file, _ in frames]
        if self._isinstance(error, self._exit):
            if self.file in files:  # the code left in the middle of a test
                raise error
            if not error.code:
                return ["exit", self._told()]
            return ["raised", "exit", 0, repr(error.code), self._told()]
        line = next((n for file, n in reversed(frames) if file == FILE), 0)
        failed = self._type(error) is self._failed or "unittest" in self._type(error).__module__
        where = "script" if failed and self.file not in files else "code"
        try:
            text = f"{self._type(error).__name__}: {error}"[:2000]
        except Exception:
            text = self._type(error).__name__
        return ["raised", where, line, text, self._told()]

    def _told(self):
        return list(map(str, self.tampering[:1]))

    def _equal(self, left, right):
        same = left == right
        if same is True or self._type(same) is not bool:
            for value in (left, right):
                if self._type(value).__module__ == "main" and self._agrees(value):
                    self.tampering.append(FLATTERY)
        return same

    def _agrees(self, value):
        try:
            return bool(value == _Unlike()) and bool(value == _Unlike())
        except Exception:
            return False

    def _watch(self, cls, name):
        """Try a comparison that agreed on an object that it never saw."""
        original, tampering = getattr(cls, name), self.tampering

        @functools.wraps(original)
        def watched(one, other):
            same = original(one, other)
            if same is True and type(other).__module__ != "main":
                against = vars(cls).get(OPPOSITES[name], original)
                try:
                    unlike = _Unlike()
                    flatters = original(one, unlike) is True and against(one, unlike) is True
                except Exception:
                    flatters = False
                if flatters:
                    tampering.append(FLATTERY if name == "__eq__" else AGREEABLE)
            return same

        with contextlib.suppress(AttributeError, TypeError):  # then only `_equal` looks
            setattr(cls, name, watched)

    def _hook(self, frame_of):
        file, tampering, watched = self.file, self.tampering, WATCHED
        judge = self

        def hook(event, args):
            if event not in watched or not judge.active:
                return
            judge.active = False  # what is asked here is ours
            try:
                caller = frame_of(1)
                if caller.f_code.co_filename.endswith(SPY_MODULES) and caller.f_back:
                    caller = caller.f_back
                if caller.f_code.co_filename == file:
                    tampering.append(PEEPING + event)
            finally:
                judge.active = True

        return hook


def _subclasses(cls):
    """All classes below one, each once; by identity, as a metaclass may say what is equal."""
    found, todo = {}, [cls]
    while todo:
        for one in type.__subclasses__(todo.pop()):
            if id(one) not in found:
                found[id(one)] = one
                todo.append(one)
    return list(found.values())
