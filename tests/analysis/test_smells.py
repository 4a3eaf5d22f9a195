"""Planted smells, hazards and bugs; what is not there is not found."""

# ruff: noqa: E501 - programs stand on one line

import pytest
from fixtures.programs import DIALECTS, write

from burnish.analysis import outputs
from burnish.analysis.analyze import analyze
from burnish.analysis.basic import basic_information
from burnish.analysis.hazards import dangerous_calls
from burnish.analysis.smells import uniform_smells

DEEP = [("if", [("loop", 2, [("if", [("loop", 2, [("if", [1], [])])], [])])], [])]
WIDE = [("if", [1], []) for _ in range(12)]


def rules(code, language):
    basic = basic_information(code, language)
    return {finding.rule for finding in uniform_smells(code, language, basic)}


@pytest.mark.parametrize("language", DIALECTS)
def test_planted_smells_are_found_in_every_language(language):
    assert rules(write([1, 2], language).code, language) == set()
    assert "deep-nesting" in rules(write(DEEP, language).code, language)
    assert "high-complexity" in rules(write(WIDE, language).code, language)
    assert "long-line" in rules(write([1], language).code + " " * 130 + "\n", language)


def test_else_if_chains_do_not_nest():
    chain = " else ".join(f"if (a == {i}) {{ a = {i + 1}; }}" for i in range(8))
    assert "deep-nesting" not in rules(f"int f(int a) {{ {chain} return a; }}\n", "c")


HAZARDS = [
    ("c", "int main(void) { char a[3]; gets(a); }", "CWE-120"),
    ("cpp", '#include <cstdlib>\nint main() { std::system("ls"); }', "CWE-78"),
    ("java", 'class A { void f() throws Exception { Runtime.getRuntime().exec("ls"); } }', "CWE-78"),
    ("javascript", "const f = (x) => eval(x);", "CWE-95"),
    ("typescript", "const f = (x: string): any => eval(x);", "CWE-95"),
    ("go", 'package main\nimport "os/exec"\nfunc main() { exec.Command("ls") }', "CWE-78"),
    ("csharp", 'class A { void F() { System.Diagnostics.Process.Start("ls"); } }', "CWE-78"),
    ("php", "<?php unserialize($_GET['x']);", "CWE-502"),
    ("ruby", "eval(gets)", "CWE-95"),
    ("perl", 'system("ls $x");', "CWE-78"),
    ("lua", "os.execute('ls')", "CWE-78"),
    ("bash", 'eval "$1"', "CWE-95"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "code", "cwe"), HAZARDS)
def test_planted_hazards_are_found(language, code, cwe):
    assert [f.cwe for f in dangerous_calls(code, language)] == [cwe]


def test_no_hazard_where_a_name_is_only_mentioned():
    assert list(dangerous_calls("int eval_all(int gets) { return gets; }", "c")) == []


BUGS = {
    "python": ("import subprocess\n\n\ndef f(x):\n    subprocess.call(x, shell=True)\n", "CWE-78"),
    "c": ("#include <stdlib.h>\nint main(void) {\n  char *p = malloc(3);\n  free(p);\n  p[0] = 1;\n  return 0;\n}\n", "CWE-416"),
    "cpp": ("#include <string>\nint f(std::string a) {\n  int x = 0;\n  if (x = 1) return 1 / x;\n  return a.size();\n}\nint main() { return f(\"\"); }\n", ""),
    "bash": ("rm -rf $1/*\n", ""),
    "go": ('package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Printf("%d", "x")\n}\n', ""),
}  # fmt: skip
TOOLS = {
    "python": "bandit",
    "c": "gcc-analyzer",
    "cpp": "clang-tidy",
    "bash": "shellcheck",
    "go": "go vet",
}


@pytest.mark.parametrize("language", BUGS)
def test_tools_of_others_are_read(language, sandbox_cache):
    code, cwe = BUGS[language]
    analysis = analyze(code, language, run=False)
    fared = analysis.tools[TOOLS[language]]
    if fared[:1].isalpha():
        assert fared in [note.partition(": ")[2] for note in analysis.notes]
        pytest.skip(fared)
    found = [f for f in (*analysis.bugs, *analysis.smells) if f.tool == TOOLS[language]]
    assert found
    assert cwe in {f.cwe for f in found}
    assert all(1 <= f.line <= code.count("\n") for f in found)


def test_planted_bug_is_named_by_clang_tidy(sandbox_cache):
    code = BUGS["cpp"][0]
    analysis = analyze(code, "cpp", run=False)
    if analysis.tools["clang-tidy"][:1].isalpha():
        pytest.skip(analysis.tools["clang-tidy"])
    found = {f.rule: f.line for f in (*analysis.bugs, *analysis.smells) if f.tool == "clang-tidy"}
    planted = {"bugprone-assignment-in-if-condition": 4, "performance-unnecessary-value-param": 2}
    assert planted.items() <= found.items()
    mended = code.replace("x = 1)", "x == 1)").replace("std::string a", "const std::string &a")
    again = analyze(mended, "cpp", run=False)
    rules = {f.rule for f in (*again.bugs, *again.smells) if f.tool == "clang-tidy"}
    assert not rules & set(planted)


def test_a_tool_that_says_nothing_of_its_failure_is_not_trusted():
    assert outputs.clang_tidy("", "Suppressed 3 warnings\n") == []
    with pytest.raises(ValueError, match="no such file"):
        outputs.clang_tidy("", "error: no such file or directory: 'x.c'\n")
