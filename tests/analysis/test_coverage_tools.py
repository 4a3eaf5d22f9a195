"""Coverage of the languages' own tools against our tracer, and against planted answers."""

# ruff: noqa: E501 - programs stand on one line

import json

import pytest
from fixtures.programs import random_tree, write

from burnish.analysis import coverage_tools
from burnish.analysis.analyze import analyze
from burnish.analysis.v8_ranges import line_positions, mapped_positions, reached_lines
from burnish.sandbox.job import Limits

NAMES = {"javascript": "V8 coverage", "typescript": "V8 coverage", "go": "go tool cover", "c": "gcov", "cpp": "gcov"}  # fmt: skip
PLANTED = {  # with "1" on stdin line 4 is never reached, with "0" line 2 or what it stands for
    "javascript": "const n = Number(require('fs').readFileSync(0, 'utf8'));\nif (n) { // é 日本 😀\n  console.log('a');\n} else {\n  console.log('b');\n}\n",
    "typescript": "const n: number = Number(require('fs').readFileSync(0, 'utf8'));\nif (n) { // é 日本 😀\n  console.log('a');\n} else {\n  console.log('b');\n}\n",
    "go": 'package main\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc main() {\n\tn := 0\n\tfmt.Scan(&n)\n\tif n != 0 {\n\t\tfmt.Println("a")\n\t\tos.Exit(0)\n\t}\n\tfmt.Println("b")\n}\n',
    "c": '#include <stdio.h>\nint main(void) {\n  int n = 0;\n  scanf("%d", &n);\n  if (n)\n    puts("a");\n  else\n    puts("b");\n  return 0;\n}\n',
    "cpp": '#include <iostream>\ntemplate <class T> void say(T x) {\n  std::cout << x;\n}\nint main() {\n  int n = 0;\n  std::cin >> n;\n  if (n)\n    say("a");\n  else\n    say(2);\n}\n',
}  # fmt: skip
MISSED = {"javascript": (5, 3), "typescript": (5, 3), "go": (15, 12), "c": (8, 6), "cpp": (11, 9)}


def measured(code, language, stdins=("",)):
    analysis = analyze(code, language, stdins=stdins)
    name = NAMES[language]
    if name not in analysis.tools or analysis.tools[name].startswith("not installed"):
        pytest.skip(f"{name}: {analysis.tools.get(name, analysis.notes)}")
    assert analysis.coverage.tool == name, analysis.tools
    return analysis


@pytest.mark.parametrize("language", NAMES)
def test_planted_lines_are_missed(language, sandbox_cache):
    analysis = measured(PLANTED[language], language, ["1\n", "0\n"])
    one, other = (test.known for test in analysis.coverage.tests)
    first, second = MISSED[language]
    assert (one[first], one[second]) == (False, True)
    assert (other[first], other[second]) == (True, False)
    assert analysis.coverage.to_dict()["tool"] == NAMES[language]
    assert analysis.tools[NAMES[language]] == "2 tests measured"


def check_agreement(language, change=lambda known: known):
    analysis = measured(write(random_tree(5), language).code, language)
    (test,) = analysis.coverage.tests
    ours = {cost.line: cost.hits > 0 for cost in test.lines}
    theirs = change(dict(test.known))
    assert len(theirs) > len(ours) / 2
    assert {line: ours[line] for line in theirs} == theirs


@pytest.mark.parametrize("language", NAMES)
def test_tools_agree_with_our_own_lines(language, sandbox_cache):
    check_agreement(language)


def test_planted_tool_that_sees_one_line_more(sandbox_cache):
    def worse(known):
        return known | {min(line for line in known if not known[line]): True}

    with pytest.raises(AssertionError):
        check_agreement("c", worse)


def brute_force(ranges, offset):
    counts = {}
    for start, end, count in sorted(ranges, key=lambda r: r[0] - r[1]):
        counts |= dict.fromkeys(range(start, end), count)
    return counts.get(offset, 0) > 0


def test_innermost_ranges_by_brute_force():
    ranges = [(0, 40, 1), (3, 20, 2), (5, 9, 0), (6, 8, 3), (25, 30, 0)]
    functions = [{"ranges": [{"startOffset": a, "endOffset": b, "count": c} for a, b, c in ranges]}]
    report = json.dumps({"result": [{"url": "file:///x/main.js", "functions": functions}]})
    reached = reached_lines(report, "main.js", [(i, i) for i in range(50)])
    assert reached == {i for i in range(50) if brute_force(ranges, i)}
    with pytest.raises(ValueError, match="nothing is said"):
        reached_lines(report, "other.js", [(1, 1)])


def test_offsets_count_as_javascript_does():
    assert line_positions("a😀\n  b\n\nc", [1, 2, 4]) == [(1, 0), (2, 6), (4, 9)]


def test_a_source_map_is_read():
    # two lines of code; columns 0 and 4 of the first are (1, 0) and (2, 8), the second is (4, 2)
    mappings = "AAAA,IACQ;AAEN"
    found = mapped_positions("abcdefg\nxyz\n", json.dumps({"mappings": mappings}), [1, 2, 3, 4])
    assert found == [(1, 0), (2, 4), (4, 8)]


def test_without_the_tool_our_own_lines_stand(monkeypatch, sandbox_cache):
    def missing(task):
        raise coverage_tools.NotMeasured("not installed: apt-get install gcc")

    monkeypatch.setattr(coverage_tools, "TOOLS", {"c": ("gcov", missing)})
    analysis = analyze(PLANTED["c"], "c", stdins=["1\n"])
    if analysis.coverage is None:
        pytest.skip(str(analysis.notes))
    assert analysis.coverage.tool == "our own lines"
    assert analysis.tools["gcov"] == "not installed: apt-get install gcc"
    assert "gcov: not installed: apt-get install gcc" in analysis.notes
    assert 8 in analysis.coverage.to_dict()["missed"]


def test_a_program_that_is_killed_has_no_coverage_of_the_tool(sandbox_cache):
    analysis = analyze("let n = 1;\nfor (;;) n += 1;\n", "javascript", limits=Limits(cpu_s=0.5))
    if analysis.coverage is None:
        pytest.skip(str(analysis.notes))
    assert analysis.coverage.tool == "our own lines"
    assert "cpu_s" in analysis.tools["V8 coverage"]
