"""Lines that were reached, how often and for how long, against what is known to be true."""

# ruff: noqa: E501 - programs stand on one line

import re
import shutil
import subprocess

import pytest
from fixtures.programs import COUNTS_ROUNDS, DIALECTS, random_tree, write

from burnish.analysis.instrument import executable_lines
from burnish.analysis.tracing import read_xtrace, trace
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain

COMPILED = {"java", "typescript", "go", "rust", "csharp", "c", "cpp"}


def traced(code, language, stdins=("",)):
    if isinstance(find_language(language).find(), MissingToolChain):
        pytest.skip(find_language(language).find().reason)
    coverage = trace(code, language, list(stdins))
    assert not isinstance(coverage, str), coverage
    assert [test.status for test in coverage.tests] == ["ok"] * len(stdins)
    return coverage


def check_hits(language, seeds, change=lambda hits: hits):
    for seed in seeds:
        written = write(random_tree(seed), language)
        coverage = traced(written.code, language)
        hits = change({cost.line: cost.hits for cost in coverage.tests[0].lines})
        for line, expected in written.hits.items():
            if line in written.loops and language not in COUNTS_ROUNDS:
                assert bool(hits[line]) == bool(expected)
            else:
                assert hits[line] == expected, (seed, line, written.code)
        reached = {line for line in coverage.executable if hits[line]}
        known = set(written.hits) | set(range(min(written.hits)))
        assert reached & set(range(min(written.hits), max(written.hits) + 1)) <= known


@pytest.mark.parametrize("language", DIALECTS)
def test_lines_of_generated_programs(language, sandbox_cache):
    check_hits(language, range(1) if language in COMPILED else range(3))


def test_planted_tracer_that_misses_the_last_round(sandbox_cache):
    with pytest.raises(AssertionError):
        check_hits("python", range(5), lambda hits: {k: min(v, 1) for k, v in hits.items()})


def test_lines_of_r(sandbox_cache):
    code = "s <- 0\nf <- function(x) {\n  x + 1\n}\nfor (i in 1:3) {\n  s <- f(s)\n}\nprint(s)\n"
    coverage = traced(code, "r")
    hits = {cost.line: cost.hits for cost in coverage.tests[0].lines}
    assert hits == {1: 1, 2: 1, 3: 3, 5: 1, 6: 3, 8: 1}


def test_executable_lines_are_those_of_coverage():
    parser = pytest.importorskip("coverage.parser")
    for seed in range(8):
        code = write(random_tree(seed), "python").code
        code = f'"""Doc."""\nimport os\n\n\ndef f(x):\n    """Doc."""\n    return x\n\n\n{code}'
        theirs = parser.PythonParser(text=code)
        theirs.parse_source()
        assert set(executable_lines(code, "python")) == theirs.statements


def test_hits_of_c_are_those_of_gcov(tmp_path, sandbox_cache):
    if not (shutil.which("gcc") and shutil.which("gcov")):
        pytest.skip("needs gcc and gcov")
    written = write(random_tree(5), "c")
    (tmp_path / "main.c").write_text(written.code)
    run = {"cwd": tmp_path, "check": True, "capture_output": True}
    subprocess.run(["gcc", "--coverage", "-O0", "-c", "main.c"], **run)
    subprocess.run(["gcc", "--coverage", "-o", "main", "main.o"], **run)
    subprocess.run(["./main"], **run)
    subprocess.run(["gcov", "main.gcda"], **run)
    rows = re.findall(r"^ *([\d#]+)\*?: *(\d+):", (tmp_path / "main.c.gcov").read_text(), re.M)
    theirs = {int(line): 0 if "#" in count else int(count) for count, line in rows}
    ours = {cost.line: cost.hits for cost in traced(written.code, "c").tests[0].lines}
    body = set(written.hits)
    assert body <= set(ours)
    assert {line: ours[line] for line in body} == {line: theirs[line] for line in body}


def test_tests_together_cover_what_each_covers(sandbox_cache):
    code = "n = int(input())\nif n > 0:\n    print(1)\nelif n < 0:\n    print(2)\nelse:\n    print(3)\n"
    coverage = traced(code, "python", ["1\n", "-1\n", "0\n"])
    assert [sorted(test.executed) for test in coverage.tests] == [
        [1, 2, 3], [1, 2, 4, 5], [1, 2, 4, 7]
    ]  # fmt: skip
    assert coverage.union == {1, 2, 3, 4, 5, 7}
    assert coverage.frac(coverage.union) == 1.0


@pytest.mark.parametrize(
    ("language", "code", "slow"),
    [
        ("python", "import time\nx = 1\ntime.sleep(0.2)\ny = 2\n", 3),
        ("ruby", "x = 1\nsleep 0.2\ny = 2\n", 2),
        ("bash", "x=1\nsleep 0.2\ny=2\n", 2),
        ("c", "#include <unistd.h>\nint main(void) {\n  int x = 1;\n  usleep(200000);\n  return x - 1;\n}\n", 4),
        ("javascript", "let x = 1;\nAtomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);\nx = 2;\n", 2),
    ],
)  # fmt: skip
def test_the_slow_line_ranks_first(language, code, slow, sandbox_cache):
    (test,) = traced(code, language).tests
    ranked = sorted(test.lines, key=lambda cost: -cost.time_s)
    assert ranked[0].line == slow
    assert ranked[0].time_s > 0.15


def test_a_program_that_does_not_compile_has_no_coverage(sandbox_cache):
    found = trace("int main(void) { return x; }\n", "c", [""])
    assert isinstance(found, str)
    assert "does not compile" in found


def test_a_program_that_fails_keeps_the_lines_it_reached(sandbox_cache):
    coverage = trace("x = 1\nraise ValueError(x)\ny = 2\n", "python", [""])
    assert sorted(coverage.tests[0].executed) == [1, 2]
    assert "ValueError" in coverage.tests[0].status


EXITS = {
    "go": 'package main\n\nimport "os"\n\nfunc main() {\n\tx := 1\n\tos.Exit(x - 1)\n}\n',
    "rust": "use std::process;\n\nfn main() {\n    let x = 1;\n    process::exit(x - 1);\n}\n",
}


@pytest.mark.parametrize("language", EXITS)
def test_a_program_that_exits_reports_its_lines(language, sandbox_cache):
    (test,) = traced(EXITS[language], language).tests
    lines = EXITS[language].splitlines()
    assert {lines[line - 1].split()[0] for line in test.executed} >= {
        "x" if language == "go" else "let"
    }
    assert any("xit(" in lines[line - 1] for line in test.executed)


def test_xtrace_is_read_by_its_marks():
    report = "+burnish 1 10.000000 x=1\n+burnish 2 10.250000 sleep\nnoise\n+burnish 1 10.500000 y\n"
    costs = {cost.line: (cost.hits, cost.time_s) for cost in read_xtrace(report)}
    assert costs == {1: (2, 0.25), 2: (1, pytest.approx(0.25, abs=0.01))}
