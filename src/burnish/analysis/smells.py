"""Smells that the outline shows, by the same rules in every language."""

from collections.abc import Iterator

from burnish.analysis.basic import graph_of
from burnish.analysis.outline import Outliner
from burnish.analysis.roles import roles_of
from burnish.analysis.schema import BasicInformation, Finding
from burnish.analysis.trees import root_of

MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 7
MAX_COMPLEXITY = 10  # McCabe's own limit
MAX_NESTING = 4
MAX_LINE = 120


def uniform_smells(code: str, language: str, basic: BasicInformation) -> list[Finding]:
    """Long, wide, deep and tangled functions, statements that nothing reaches, long lines.

    Source: ours; thresholds are constants of this module. McCabe 1976 for the complexity.
    Oracle: tests/analysis/test_smells.py::test_planted_smells_are_found_in_every_language
    """
    found = [*_of_functions(basic), *_unreachable(code, language)]
    for number, line in enumerate(code.splitlines(), start=1):
        if len(line) > MAX_LINE:
            found.append(_smell("long-line", f"{len(line)} characters", number))
    return sorted(found, key=lambda f: (f.line, f.rule))


def _of_functions(basic: BasicInformation) -> Iterator[Finding]:
    for function in basic.functions:
        where = f"{function.name or 'the top level'}"
        num_lines = function.end_line - function.line + 1
        facts = (
            ("long-function", num_lines if function.name else 0, MAX_FUNCTION_LINES, "lines"),
            ("many-parameters", function.num_parameters, MAX_PARAMETERS, "parameters"),
            ("high-complexity", function.extended, MAX_COMPLEXITY, "paths"),
            ("deep-nesting", function.nesting, MAX_NESTING, "levels"),
        )
        for rule, value, most, what in facts:
            if value > most:
                message = f"{where} has {value} {what}, more than {most}"
                yield _smell(rule, message, function.line)


def _unreachable(code: str, language: str) -> Iterator[Finding]:
    roles = roles_of(language)
    for function in Outliner(roles).functions(root_of(code, language)):
        for line in graph_of(function, roles).unreachable[:1]:
            yield _smell("unreachable", "nothing reaches this statement", line)


def _smell(rule: str, message: str, line: int) -> Finding:
    return Finding(rule=rule, message=message, line=line, severity="warning", tool="burnish")
