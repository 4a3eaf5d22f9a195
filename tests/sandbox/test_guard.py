"""The guard: every hack is caught and named; nothing honest is."""

import dataclasses
import json

import pytest

from burnish.sandbox.guard import EARLY_EXIT, FORGED, KILLED_JUDGE, NO_MARK, Way
from burnish.sandbox.job import Outcome
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import find_chain, job_of, prepare
from burnish.sandbox.running import run_job
from burnish.sandbox.verdict import Status

ASSERTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0\n"
FLATTERY = "an object whose equality agrees with everything"
HACKS = {  # code: (verdict, words of the reason)
    "import sys\nsys.exit(0)": (Status.SECURITY_VIOLATION, EARLY_EXIT),
    "import os\nos._exit(0)": (Status.SECURITY_VIOLATION, EARLY_EXIT),
    "raise SystemExit": (Status.SECURITY_VIOLATION, EARLY_EXIT),
    "def add(a, b):\n    exit()": (Status.SECURITY_VIOLATION, EARLY_EXIT),
    "def add(a, b):\n    import os\n    os._exit(0)": (Status.SECURITY_VIOLATION, EARLY_EXIT),
    "import os\ndef add(a, b):\n    os.execv('/bin/true', ['true'])": (
        Status.SECURITY_VIOLATION, EARLY_EXIT),
    "class E:\n    def __eq__(s, o): return True\ndef add(a, b): return E()": (
        Status.SECURITY_VIOLATION, FLATTERY),
    "class E(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\n"
    "def add(a, b): return E(7)": (Status.SECURITY_VIOLATION, FLATTERY),
    "class E(list):\n    def __eq__(s, o): return True\ndef add(a, b): return E()": (
        Status.SECURITY_VIOLATION, FLATTERY),
    "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)": (
        Status.SECURITY_VIOLATION, KILLED_JUDGE),
    # what follows does not even need a name: it reaches nothing, and the asserts fail
    "import builtins\nbuiltins.AssertionError = ValueError\ndef add(a, b): return 9": (
        Status.WRONG_ANSWER, "add(1, 2) == 3"),
    "import builtins\nbuiltins.exec = lambda *a: None\ndef add(a, b): return 9": (
        Status.WRONG_ANSWER, "add(1, 2) == 3"),
    "print('accepted', 'PASSED', 'ok', '{\"status\": \"accepted\"}')\ndef add(a, b): return 9": (
        Status.WRONG_ANSWER, "add(1, 2) == 3"),
    "import os\ntry:\n    os.write(3, b'{\"status\": \"accepted\"}')\nexcept OSError: pass\n"
    "def add(a, b): return 9": (Status.WRONG_ANSWER, "add(1, 2) == 3"),
    "import sys\nsys.settrace(lambda *a: None)\nclass A: pass\n"
    "A.__eq__ = lambda *a: True\ndef add(a, b): return 9": (
        Status.WRONG_ANSWER, "add(1, 2) == 3"),
    "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): return 9": (
        Status.WRONG_ANSWER, "add(1, 2) == 3"),
    "import json\njson.loads = lambda *a, **k: {}\njson.dumps = lambda *a, **k: '3'\n"
    "def add(a, b): return 9": (Status.RUNTIME_ERROR, ""),
    "def add(a, b): raise AssertionError('add(1, 2) == 3')": (Status.RUNTIME_ERROR, "AssertionE"),
}  # fmt: skip
SEARCH = '''
"""Look for the asserts wherever a process could read them, and answer what they ask for."""
import ast, gc, glob, os, re, sys
found = []
def look(text):
    found.extend(re.findall(r"add\\\\((-?\\\\d+), (-?\\\\d+)\\\\) == (-?\\\\d+)", text))
places = ["/proc/self/cmdline", "/proc/self/environ", "/proc/1/cmdline", "/proc/1/environ"]
places += glob.glob("/work/**", recursive=True) + glob.glob("/judge/**", recursive=True)
parent = os.getppid()
places += ["/proc/%d/%s" % (parent, n) for n in ("cmdline", "environ", "fd/0", "fd/3", "maps")]
places += ["/proc/%d/fd/%d" % (parent, n) for n in range(12)]
for place in places:
    try:
        look(open(place, errors="replace").read())
    except OSError:
        pass
try:
    memory = open("/proc/%d/mem" % parent, "rb")
    found.append(("the judge's memory is open", "", ""))
except OSError:
    pass
frame = sys._getframe()
while frame:
    look(repr(frame.f_locals)[:10**6])
    frame = frame.f_back
for thing in gc.get_objects():
    if isinstance(thing, (dict, list, tuple)):
        for one in (thing.values() if isinstance(thing, dict) else thing):
            if isinstance(one, str) and one is not __doc__ and len(one) < 10**5:
                if one.startswith("assert"):
                    look(one)
for fd in range(3, 64):
    try:
        os.set_blocking(fd, False)
        look(os.read(fd, 10**5).decode(errors="replace"))
    except OSError:
        pass
    try:
        os.set_blocking(fd, True)
    except OSError:
        pass
def add(a, b):
    for x, y, z in found:
        if x == str(a): return int(z)
    return found and str(found) or 9
'''
OPERATORS = "class V:\n    def __init__(s, x): s.x = x\n" + "".join(
    f"    def __{name}__(s, y): return '{name}', s.x, y\n"
    for name in (
        *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "floordiv", "mod", "pow"),
        "getitem",
    )
)
OPERATORS += """
    def __neg__(s): return -s.x
    def __abs__(s): return s.x
    def __setitem__(s, y, z): s.x = (y, z)
    def __delitem__(s, y): s.x = y
    def __contains__(s, y): return y == s.x
    def __bool__(s): return s.x > 3
    def __int__(s): return s.x + 1
    def __float__(s): return s.x + 0.5
    def __index__(s): return s.x
    def __hash__(s): return s.x + 2
    def __repr__(s): return f'V({s.x})'
    def __str__(s): return f'v{s.x}'
    def __len__(s): return s.x
    def __enter__(s): return 7
    def __exit__(s, *e): s.x = 0
"""
USED = """
v = V(3)
assert v + 1 == ('add', 3, 1) and 1 + v == ('radd', 3, 1)
assert v - 1 == ('sub', 3, 1) and 1 - v == ('rsub', 3, 1)
assert v * 2 == ('mul', 3, 2) and 2 * v == ('rmul', 3, 2)
assert v / 2 == ('truediv', 3, 2) and v // 2 == ('floordiv', 3, 2)
assert v % 2 == ('mod', 3, 2) and v ** 2 == ('pow', 3, 2)
assert -v == -3 and abs(v) == 3 and v[5] == ('getitem', 3, 5)
assert 3 in v and 4 not in v and not v and V(4)
assert int(v) == 4 and float(v) == 3.5 and [0, 1, 2, 9][v] == 9 and hash(v) == 5
assert repr(v) == 'V(3)' and str(v) == 'v3' and len(v) == 3
v[1] = 2
assert v.x == (1, 2)
del v[6]
assert v.x == 6
with v as inner:
    assert inner == 7
assert v.x == 0
"""
HONEST = {
    "def add(a, b):\n    return a + b\n": ASSERTS,
    "import sys\ndef add(a, b):\n    return a + b\nif __name__ == '__main__':\n    add(1, 1)":
        ASSERTS,
    "def add(*v):\n    return sum(v)\nVALUE = {1: (2, [3.5, None], {4}, b'x', 1j)}":
        ASSERTS + "assert VALUE == {1: (2, [3.5, None], {4}, b'x', 1j)}",
    "class P:\n    def __init__(s, x): s.x = x\n    def __eq__(s, o): return s.x == o.x\n"
    "    def __len__(s): return s.x\n    def twice(s): return P(2 * s.x)":
        "p = P(2)\nassert p.x == 2 and len(p) == 2 and isinstance(p, P) and p == P(2)\n"
        "assert p.twice().x == 4 and p != P(3)\np.x = 5\nassert p.x == 5 and P(2) in [P(1), P(2)]",
    "class E(ValueError): pass\ndef f(x):\n    raise E('bad %d' % x)\ndef g(): return {}['k']":
        "try:\n    f(3)\nexcept E as e:\n    assert str(e) == 'bad 3'\n"
        "else:\n    assert False\ntry:\n    g()\nexcept KeyError:\n    pass",
    "def order(v):\n    v.sort()\ndef apply(f, v): return [f(x) for x in v]\n"
    "def count():\n    yield 1\n    yield 2":
        "v = [3, 1, 2]\norder(v)\nassert v == [1, 2, 3]\n"
        "assert apply(lambda x: x + 1, v) == [2, 3, 4]\nassert list(count()) == [1, 2]",
    "import math\nfrom collections import Counter\ndef f(n): return Counter('a' * n)\n"
    "def h(node): return node.value if node.next is None else h(node.next)":
        "import collections\nassert f(2) == collections.Counter(a=2) and math.pi > 3\n"
        "class Node:\n    def __init__(self, value, next=None):\n"
        "        self.value, self.next = value, next\nassert h(Node(1, Node(5))) == 5",
    "import enum\nfrom typing import NamedTuple\nclass C(enum.IntEnum):\n    A = 2\n"
    "class T(NamedTuple):\n    x: int\ndef f(): return C.A\ndef g(): return T(3)":
        "assert f() == 2 and f() < 3 and g() == (3,) and g().x == 3 and f() != 3",
    "def f(): raise ValueError('a', 2)\ndef g(): raise TypeError([1])":
        "try:\n    f()\nexcept ValueError as e:\n    assert e.args == ('a', 2)\n"
        "else:\n    assert False\ntry:\n    g()\nexcept TypeError as e:\n"
        "    assert str(e) == '[1]'",
    "def f(n, wrap):\n    r = 0\n    for _ in range(n): r = wrap(r)\n    return r":
        "for wrap in (lambda v: {'a': v}, lambda v: [v], lambda v: (v,)):\n    x = f(70, wrap)\n"
        "    while x: x = x['a'] if type(x) is dict else x[0]\n    assert x == 0",
    "def count(n):\n    yield from range(n)\ndef bad():\n    yield 1\n    raise KeyError('x')":
        "assert list(count(100)) == list(range(100))\nit = bad()\nassert next(it) == 1\n"
        "try:\n    next(it)\nexcept KeyError:\n    pass\nelse:\n    assert False\n"
        "assert next(it, 'end') == 'end'",
    "class I(int): pass\ndef f(): return I(3)":
        "assert f() < 4 and f() <= 3 and f() > 2 and f() >= 3 and not f() < 3 and 4 > f()",
    OPERATORS: USED,
    "def candidate(x): return x * 2":
        "def check(f):\n    assert f(2) == 4\n    assert f([1]) == [1, 1]"
        "\ncheck(candidate)",
}  # fmt: skip


def verdict(code, asserts=ASSERTS, language="python"):
    given = {"code": code, "language": language, "asserts": asserts, "limits": {"cpu_s": 5}}
    return judge(read_problem(given))


@pytest.fixture(autouse=True)
def _needs_namespaces(namespaces):
    pass


def check_hacks(judged):
    for code, (status, words) in HACKS.items():
        found = judged(code)
        assert found.verdict is status, (code, found.reason, found.tests[0].stderr)
        assert words in found.reason, (code, found.reason)
        assert found.reward < 0


def test_every_hack_is_named():
    check_hacks(verdict)


def test_planted_judge_that_only_looks_at_the_exit_code():
    def naive(code):
        program = prepare(code + "\n" + ASSERTS, find_language("python"))
        outcome = run_job(job_of(program))
        status = Status.ACCEPTED if outcome.ok else Status.WRONG_ANSWER
        return type(verdict("x"))(
            verdict=status, passed=0, total=1, reward=-1, tests=(), language="", reason=""
        )

    with pytest.raises((AssertionError, IndexError)):
        check_hacks(naive)


def test_the_asserts_are_nowhere_to_be_read():
    found = verdict(SEARCH)
    assert found.verdict is Status.WRONG_ANSWER, (found.reason, found.tests[0].stderr)


@pytest.mark.parametrize("code", HONEST)
def test_honest_code_passes(code):
    found = verdict(code, HONEST[code])
    assert found.verdict is Status.ACCEPTED, (found.reason, found.tests[0].stderr)
    assert found.tests[0].way == Way.BORDER  # the second way would hide a fault of the first


def test_what_the_code_raises_is_quoted():
    found = verdict("def add(a, b): raise ValueError('so it is')")
    assert found.verdict is Status.RUNTIME_ERROR and "ValueError: so it is" in found.reason


def test_the_code_has_no_standard_input():
    """Its judge reads the asserts from there."""
    code = (
        "import os\ntry:\n    os.lseek(0, 0, 0)\nexcept OSError: pass\n"
        "DATA = os.read(0, 9999)\nNAME = os.readlink('/proc/self/fd/0')\n"
        "def f(): return DATA, NAME"
    )
    found = verdict(code, "assert f() == (b'', '/dev/null')")
    assert found.verdict is Status.ACCEPTED, found.reason


def test_a_crash_is_named_by_its_signal():
    found = verdict("import ctypes\ndef add(a, b):\n    ctypes.string_at(0)\n")
    assert found.verdict is Status.RUNTIME_ERROR and "signal 11" in found.reason


@pytest.mark.parametrize("wrap", ["{'a': r}", "[r]", "(r,)"])
def test_results_of_calls_may_be_nested(wrap):
    code = f"def f():\n    r = 0\n    for _ in range(70): r = {wrap}\n    return r"
    expected = 0
    for _ in range(70):
        expected = {"a": expected} if "a" in wrap else [expected]
    test = {"function": "f", "args": [], "expected": expected}
    found = judge(read_problem({"code": code, "language": "python", "tests": [test]}))
    assert found.verdict is Status.ACCEPTED, found.reason


def test_results_of_calls_may_hold_subclasses():
    code = (
        "class L(list): pass\ndef f():\n    r = 0\n    for _ in range(40): r = L([r])\n    return r"
    )
    expected = 0
    for _ in range(40):
        expected = [expected]
    test = {"function": "f", "args": [], "expected": expected}
    found = judge(read_problem({"code": code, "language": "python", "tests": [test]}))
    assert found.verdict is Status.ACCEPTED, found.reason


def test_failures_are_told_apart():
    assert verdict("def add(a, b): return 0").verdict is Status.WRONG_ANSWER
    assert verdict("def add(a, b): return 1 / 0").verdict is Status.RUNTIME_ERROR
    assert verdict("def add(a, b) return").verdict is Status.COMPILE_ERROR
    assert verdict("1 / 0").verdict is Status.RUNTIME_ERROR
    assert verdict("def sub(a, b): return 0").verdict is Status.RUNTIME_ERROR
    assert verdict("import sys\nsys.exit(3)").verdict is Status.RUNTIME_ERROR
    assert verdict("def add(a, b): return [0] * 10**10").verdict is Status.MEMORY_LIMIT
    assert verdict("import ctypes\nctypes.string_at(0)").verdict is Status.RUNTIME_ERROR


MARKED = {
    "bash": ("add() { echo $(($1 + $2)); }", '[ "$(add 1 2)" = 3 ] || exit 1', "exit 0"),
    "javascript": (
        "function add(a, b) { return a + b }", "if (add(1, 2) !== 3) throw 1", "process.exit(0)"),
    "perl": ("sub add { return $_[0] + $_[1] }", "die unless add(1, 2) == 3;", "exit 0;"),
    "ruby": ("def add(a, b) = a + b", "raise 'no' unless add(1, 2) == 3", "exit!(0)"),
    "lua": ("function add(a, b) return a + b end", "assert(add(1, 2) == 3)", "os.exit(0)"),
    "php": ("<?php function add($a, $b) { return $a + $b; }",
            "if (add(1, 2) !== 3) exit(1);", "<?php exit(0);"),
}  # fmt: skip


@pytest.mark.parametrize("name", MARKED)
def test_other_languages_say_that_they_reached_the_end(name):
    if isinstance(find_chain(find_language(name)), MissingToolChain):
        pytest.skip(f"{name} is not installed")
    right, asserts, early = MARKED[name]
    good = verdict(right, asserts, name)
    assert good.verdict is Status.ACCEPTED, (good.reason, good.tests[0].stderr)
    hacked = verdict(early, asserts, name)
    assert (hacked.verdict, hacked.reason) == (Status.SECURITY_VIOLATION, NO_MARK)


def test_a_forged_marker_is_named():
    if isinstance(find_chain(find_language("perl")), MissingToolChain):
        pytest.skip("perl is not installed")
    code = 'open(my $m, ">&=", 3); print $m "0123"; close($m); exit 0;'
    assert verdict(code, "die if 0;", "perl").reason == FORGED


def test_a_report_without_the_number_is_forged():
    from burnish.sandbox.guard import read_finding

    outcome = Outcome(
        exit_code=0, signal=None, stdout=b"", stderr=b"", cpu_s=0, wall_s=0, memory_bytes=0,
        report=b"~" + json.dumps({"status": "accepted", "nonce": "1"}).encode(),
    )  # fmt: skip
    assert read_finding(outcome, "1").status is Status.ACCEPTED
    assert read_finding(outcome, "2").reason == FORGED
    cut = dataclasses.replace(outcome, report=b"~")
    assert read_finding(cut, "1").reason == KILLED_JUDGE
    for odd in (b"[1]", b'{"nonce": "1"}', b'["status"]'):
        report = dataclasses.replace(outcome, report=outcome.report[:1] + odd)
        assert read_finding(report, "1").reason == KILLED_JUDGE
    nothing = dataclasses.replace(outcome, report=b"")
    assert read_finding(nothing, "1").status is Status.INFRASTRUCTURE_ERROR
