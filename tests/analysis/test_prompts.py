"""Prompts that hold what the analysis found."""

from burnish.analysis import prompts
from burnish.analysis.analyze import analyze
from burnish.sandbox.problem import StdioTest

TESTS = (StdioTest(stdin="2\n", stdout="4\n"), StdioTest(stdin="-1\n", stdout="-2\n"))
CODE = "n = int(input())\nif n > 0:\n    print(2 * n)\nelse:\n    print(n)\n"


def test_prompts_hold_what_was_found(sandbox_cache):
    analysis = analyze(CODE, "python", stdins=["2\n"])
    assert "lines that no test reaches: [5]" in prompts.tests_prompt("P", CODE, analysis, TESTS)
    translated = prompts.translate_prompt("P", CODE, analysis, target="java", tests=TESTS)
    assert "to java" in translated and "2->3" in translated and "Input:\n2" in translated
    assert "nothing was found" in prompts.locate_prompt(
        "P", "x = 1\n", analyze("x = 1\n", "python")
    )
    assert "[Suggestions]" in prompts.refine_prompt("P", CODE, analysis)
