"""Control flow graphs against the number of decisions that a program was made with."""

import pytest
from fixtures.programs import DIALECTS, random_tree, write

from burnish.analysis.basic import basic_information
from burnish.analysis.cfg import ControlFlowGraph


def check_mccabe(language, complexity_of=lambda f: f.complexity):
    for seed in range(12):
        written = write(random_tree(seed), language)
        basic = basic_information(written.code, language)
        assert not basic.has_syntax_errors, written.code
        decisions = sum(complexity_of(f) - 1 for f in basic.functions)
        assert decisions == written.num_decisions, written.code


@pytest.mark.parametrize("language", DIALECTS)
def test_mccabe_of_generated_programs(language):
    check_mccabe(language)


def test_planted_graph_without_its_last_edge():
    with pytest.raises(AssertionError):
        check_mccabe("c", lambda f: len(f.edges) - len({x for e in f.edges for x in e}) + 1)


CASES = [
    ("c", "int f(int a) { switch (a) { case 1: a = 2; break; case 2: case 3: a = 4; break; default: a = 5; } return a; }", 4),  # noqa: E501
    ("c", "int f(int a) { do { a--; } while (a); return a; }", 2),
    ("c", "int f(int a) { while (1) { if (a) break; a++; } return a; }", 3),
    ("java", "class A { int f(int a) { try { g(); } catch (E e) { h(); } finally { z(); } return 1; } }", 2),  # noqa: E501
    ("javascript", "function f(a) { for (const i of a) { if (i) continue; g(i); } }", 3),
    ("go", "package p\nfunc f(a int) int {\n\tswitch a {\n\tcase 1:\n\t\ta = 2\n\tdefault:\n\t\ta = 3\n\t}\n\treturn a\n}\n", 2),  # noqa: E501
    ("rust", "fn f(a: i32) -> i32 { match a { 1 => 2, 2 => 3, _ => 4 } }", 3),
    ("python", "def f(a):\n    try:\n        g()\n    except E:\n        h()\n    except F:\n        i()\n", 3),  # noqa: E501
    ("python", "def f(a):\n    if a:\n        return 1\n    elif b:\n        return 2\n    return 3\n", 3),  # noqa: E501
    ("ruby", "def f(a)\n  case a\n  when 1 then g\n  when 2 then h\n  else i\n  end\n  j if a\nend\n", 4),  # noqa: E501
    ("bash", 'f() {\n  case $1 in\n    a) echo 1 ;;\n    *) echo 2 ;;\n  esac\n  while read x; do echo; done\n}\n', 3),  # noqa: E501
    ("lua", "function f(a) repeat a = a - 1 until a == 0 end", 2),
    ("perl", "sub f { my ($a) = @_; g() if $a; while ($a) { last; } return 1; }", 3),
    ("php", "<?php function f($a) { foreach ($a as $x) { g($x); } if ($a) return 1; elseif ($b) return 2; }", 4),  # noqa: E501
    ("csharp", "class A { int F(int a) { foreach (var x in y) { G(x); } return a; } }", 2),
]  # fmt: skip


@pytest.mark.parametrize(("language", "code", "complexity"), CASES)
def test_mccabe_of_programs_counted_by_hand(language, code, complexity):
    functions = [f for f in basic_information(code, language).functions if f.name]
    assert [f.complexity for f in functions] == [complexity]


def test_extended_complexity_counts_short_circuits():
    code = "def f(a, b):\n    return 1 if a and b or a else 2\n"
    (function,) = [f for f in basic_information(code, "python").functions if f.name]
    assert (function.complexity, function.extended) == (1, 4)


def test_extended_complexity_is_radons():
    radon = pytest.importorskip("radon.complexity")
    import fractions
    import inspect
    import textwrap

    code = textwrap.dedent(inspect.getsource(fractions))
    theirs = {}
    for block in radon.cc_visit(code):
        for method in [block, *getattr(block, "methods", [])]:
            theirs[method.lineno] = method.complexity
    ours = {f.line: f.extended for f in basic_information(code, "python").functions}
    shared = [line for line in ours if line in theirs]
    assert len(shared) > 20
    assert sum(ours[line] == theirs[line] for line in shared) / len(shared) > 0.9


def test_unreachable_statements_are_no_nodes():
    from burnish.analysis.basic import graph_of
    from burnish.analysis.outline import Outliner
    from burnish.analysis.roles import roles_of
    from burnish.sandbox.syntax import parse

    roles = roles_of("python")
    root = parse("def f():\n    return 1\n    g()\n", "python").root_node
    function = Outliner(roles).functions(root)[1]
    graph = graph_of(function, roles)
    assert graph.unreachable == (3,)
    assert graph.complexity == 1
    assert isinstance(graph, ControlFlowGraph)
