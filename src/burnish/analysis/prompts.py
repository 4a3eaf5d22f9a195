"""Prompts that show a model what the analysis of its program found."""

from collections.abc import Sequence

from burnish.analysis.schema import Analysis, Coverage, Finding
from burnish.sandbox.feedback import render, tests_text
from burnish.sandbox.languages import find_language, language_name
from burnish.sandbox.problem import Test

NUM_FINDINGS = 20


def refine_prompt(problem: str, code: str, analysis: Analysis) -> str:
    """Ask for a more readable program; gate the answer by the tests."""
    report = findings_report([*analysis.smells, *analysis.bugs])
    fields = {"problem": problem, "code": code, "language": analysis.language}
    return render("refine", report=report, **fields)


def tests_prompt(problem: str, code: str, analysis: Analysis, tests: Sequence[Test]) -> str:
    """Ask for tests of the lines that the given ones leave out."""
    report = coverage_report(analysis.coverage) if analysis.coverage else "not measured"
    fields = {"problem": problem, "code": code, "language": analysis.language}
    return render("write_tests", report=report, tests=tests_text(tests), **fields)


def translate_prompt(
    problem: str, code: str, analysis: Analysis, *, target: str, tests: Sequence[Test]
) -> str:
    """Ask for the same program in another language."""
    fields = {"problem": problem, "code": code, "language": analysis.language}
    texts = {"tests": tests_text(tests), "report": flow_report(analysis)}
    return render("translate", target=language_name(find_language(target)), **texts, **fields)


def locate_prompt(problem: str, code: str, analysis: Analysis) -> str:
    """Ask which of the reported vulnerabilities are real, and what to do."""
    fields = {"problem": problem, "code": code, "language": analysis.language}
    return render("locate", report=findings_report(analysis.bugs), **fields)


def findings_report(findings: Sequence[Finding]) -> str:
    """One line per finding, the gravest first."""
    order = {"error": 0, "warning": 1, "note": 2}
    chosen = sorted(findings, key=lambda f: (order[f.severity], f.line))[:NUM_FINDINGS]
    lines = [
        f"line {f.line}: {f.severity} {f.rule}{' ' + f.cwe if f.cwe else ''}: {f.message}"
        for f in chosen
    ]
    return "\n".join(lines) or "nothing was found"


def coverage_report(coverage: Coverage) -> str:
    """Which lines no test reaches, and what each test reaches."""
    facts = coverage.to_dict()
    lines = [f"lines that no test reaches: {facts['missed'] or 'none'}"]
    lines += [
        f"test {test['test'] + 1}: {len(test['executed'])} of {len(coverage.executable)} lines"
        for test in facts["tests"]
    ]
    return "\n".join(lines)


def flow_report(analysis: Analysis) -> str:
    """The control flow of each function, as edges between lines."""
    functions = analysis.basic.functions if analysis.basic else ()
    names = {0: "entry", -1: "exit"}
    lines = []
    for function in functions:
        arrows = [f"{names.get(a, a)}->{names.get(b, b)}" for a, b in function.edges]
        lines.append(f"{function.name or 'top level'}: {' '.join(arrows)}")
    return "\n".join(lines) or "unknown"
