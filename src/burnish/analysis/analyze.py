"""The five categories of one program: `analyze(code, language) -> Analysis`."""

from collections.abc import Sequence

from burnish.analysis.basic import basic_information
from burnish.analysis.coverage_task import CoverageTask
from burnish.analysis.coverage_tools import with_tool
from burnish.analysis.deadline import in_seconds
from burnish.analysis.hazards import dangerous_calls
from burnish.analysis.schema import Analysis, Coverage
from burnish.analysis.smells import uniform_smells
from burnish.analysis.tools import findings_of
from burnish.analysis.tracing import trace
from burnish.base.errors import InputError
from burnish.sandbox.job import Limits
from burnish.sandbox.languages import find_language, language_name

MAX_CHARACTERS = 1 << 20  # what is parsed in this process, where no deadline reaches


def analyze(
    code: str,
    language: str,
    *,
    stdins: Sequence[str] = (),
    limits: Limits | None = None,
    isolation: str = "auto",
    run: bool = True,
    deadline_s: float | None = None,
) -> Analysis:
    """Basic information, smells, bugs, coverage and efficiency, as far as they can be had.

    The program runs once for each of `stdins`, or once without input; `run=False` leaves coverage
    and efficiency out. After `deadline_s` nothing more is begun, and what runs is ended. What is
    missing is named in `notes`, and how each tool fared in `tools`.
    Raises: UnknownNameError; IsolationError; InputError, where it is too long; SettingError, for
    the deadline.
    Source: MPLSandbox, arXiv 2410.23074, supplement section 2: the five categories.
    Departure: one schema for all languages; the released code has Python alone.
    Oracle: tests/analysis/test_figures.py::test_coverage_of_figure_5
    """
    deadline = in_seconds(deadline_s)
    _check_size(code)
    name, notes = language_name(find_language(language)), []
    basic = basic_information(code, name)
    if isinstance(basic, str):
        notes.append(f"basic: {basic}")
        basic = None
    smells = uniform_smells(code, name, basic) if basic else []
    bugs = list(dangerous_calls(code, name)) if basic else []
    found, tools = findings_of(code, name, isolation=isolation, deadline=deadline)
    for category, finding in found:
        (bugs if category == "bugs" else smells).append(finding)
    task = CoverageTask(
        code=code, language=name, lines=(), stdins=tuple(stdins) or ("",), limits=limits,
        isolation=isolation, deadline=deadline,
    )  # fmt: skip
    coverage = _coverage(task, notes, tools) if run else None
    notes += [f"{tool}: {fared}" for tool, fared in tools.items() if fared[:1].isalpha()]
    return Analysis(
        language=name,
        basic=basic,
        smells=tuple(sorted(smells, key=lambda f: (f.line, f.rule))),
        bugs=tuple(sorted(bugs, key=lambda f: (f.line, f.rule))),
        coverage=coverage,
        notes=tuple(notes),
        tools=tools,
    )


def _check_size(code: str) -> None:
    if len(code) > MAX_CHARACTERS:
        rule, remedy = f"must have at most {MAX_CHARACTERS} characters", "Analyse a part of it"
        raise InputError("code", f"{len(code)} characters", rule, remedy=remedy)


def _coverage(task: CoverageTask, notes: list[str], tools: dict[str, str]) -> Coverage | None:
    found = trace(
        task.code, task.language, task.stdins, limits=task.limits, isolation=task.isolation,
        deadline=task.deadline,
    )  # fmt: skip
    if isinstance(found, str):
        notes.append(f"coverage: {found}")
        return None
    notes += [f"coverage of test {t.test}: {t.status}" for t in found.tests if t.status != "ok"]
    return with_tool(found, task, tools)
