"""The five categories of one program: `analyze(code, language) -> Analysis`."""

from collections.abc import Sequence

from burnish.sandbox.analysis.basic import basic_information
from burnish.sandbox.analysis.hazards import dangerous_calls
from burnish.sandbox.analysis.schema import Analysis, Coverage
from burnish.sandbox.analysis.smells import uniform_smells
from burnish.sandbox.analysis.tools import findings_of
from burnish.sandbox.analysis.tracing import trace
from burnish.sandbox.job import Limits
from burnish.sandbox.languages import find_language, language_name


def analyze(
    code: str,
    language: str,
    *,
    stdins: Sequence[str] = (),
    path: str = "",
    limits: Limits | None = None,
    isolation: str = "auto",
    run: bool = True,
) -> Analysis:
    """Basic information, smells, bugs, coverage and efficiency, as far as they can be had.

    The program runs once for each of `stdins`, or once without input; `run=False` leaves coverage
    and efficiency out. What is missing is named in `notes`, and how each tool fared in `tools`.
    Raises: UnknownNameError; IsolationError.
    Source: MPLSandbox, arXiv 2410.23074, supplement section 2: the five categories.
    Departure: one schema for all languages; the released code has Python alone.
    Oracle: tests/sandbox/test_figures.py::test_coverage_of_figure_5
    """
    name, notes = language_name(find_language(language)), []
    basic = basic_information(code, name)
    if isinstance(basic, str):
        notes.append(f"basic: {basic}")
        basic = None
    smells = uniform_smells(code, name, basic) if basic else []
    bugs = list(dangerous_calls(code, name)) if basic else []
    found, tools = findings_of(code, name, isolation=isolation)
    for category, finding in found:
        (bugs if category == "bugs" else smells).append(finding)
    notes += [f"{tool}: {fared}" for tool, fared in tools.items() if fared[:1].isalpha()]
    coverage = _coverage(code, name, stdins, limits, isolation, notes) if run else None
    return Analysis(
        language=name,
        path=path,
        basic=basic,
        smells=tuple(sorted(smells, key=lambda f: (f.line, f.rule))),
        bugs=tuple(sorted(bugs, key=lambda f: (f.line, f.rule))),
        coverage=coverage,
        notes=tuple(notes),
        tools=tools,
    )


def _coverage(
    code: str,
    name: str,
    stdins: Sequence[str],
    limits: Limits | None,
    isolation: str,
    notes: list[str],
) -> Coverage | None:
    found = trace(code, name, list(stdins) or [""], limits=limits, isolation=isolation)
    if isinstance(found, str):
        notes.append(f"coverage: {found}")
        return None
    notes += [f"coverage of test {t.test}: {t.status}" for t in found.tests if t.status != "ok"]
    return found
