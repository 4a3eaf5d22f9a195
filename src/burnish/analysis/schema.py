"""One schema for what is known of a program, whatever language it is in: five categories."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEVERITIES = ("note", "warning", "error")
OWN_LINES = "our own lines"  # the interpreter's line events, or our instrumentation


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A smell, bug or vulnerability. `severity` is one of `SEVERITIES`, `cwe` such as `CWE-78`."""

    rule: str
    message: str
    line: int
    severity: str
    tool: str
    column: int = 1
    cwe: str = ""


@dataclass(frozen=True, kw_only=True)
class Halstead:
    """Counts of operators and operands, and what Halstead derived from them.

    `h1`, `h2` are distinct operators and operands, `N1`, `N2` all of them; `time_s` is effort/18.
    Source: Halstead 1977; the paper's Fig. 4 prints the same ten values.
    Oracle: tests/analysis/test_figures.py::test_halstead_values_of_figure_4
    """

    h1: int
    h2: int
    N1: int
    N2: int
    vocabulary: int
    length: int
    calculated_length: float
    volume: float
    difficulty: float
    effort: float
    time_s: float
    bugs: float


@dataclass(frozen=True, kw_only=True)
class FunctionFacts:
    """One function: where it stands, McCabe's complexity, and its control flow graph.

    `complexity` is E - N + 2P of the graph; `extended` adds what short-circuits inside of
    expressions. `edges` connect lines; 0 is the entry, -1 the exit.
    """

    name: str
    line: int
    end_line: int
    num_parameters: int
    nesting: int
    complexity: int
    extended: int
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class BasicInformation:
    """Structure and size. `ast` is the syntax tree as an S-expression, cut where it is long."""

    num_lines: int
    num_code_lines: int
    num_comment_lines: int
    num_blank_lines: int
    has_syntax_errors: bool
    complexity: int
    maintainability: float
    halstead: Halstead
    functions: tuple[FunctionFacts, ...]
    ast: str


@dataclass(frozen=True, kw_only=True)
class LineCost:
    """One executable line of one run: how often it was reached, and the time spent on it."""

    line: int
    hits: int
    time_s: float

    def to_dict(self, total_s: float) -> dict[str, Any]:
        """The four columns of the paper's Fig. 6."""
        per_hit = self.time_s / self.hits if self.hits else 0.0
        frac = self.time_s / total_s if total_s else 0.0
        return {**vars(self), "time_per_hit_s": per_hit, "time_frac": frac}


@dataclass(frozen=True, kw_only=True)
class TraceRun:
    """What one test made of the lines; `status` is `ok`, or why the lines are not known in full.

    `lines` are our own tracer's. `known` is what the language's coverage tool says of a line,
    and goes before ours.
    """

    test: int
    status: str
    lines: tuple[LineCost, ...]
    known: Mapping[int, bool] = field(default_factory=dict)

    @property
    def executed(self) -> frozenset[int]:
        """The lines that were reached."""
        ours = frozenset(cost.line for cost in self.lines if cost.hits)
        theirs = frozenset(line for line, reached in self.known.items() if reached)
        return (ours - self.known.keys()) | theirs


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Executable lines, and which of them each test reached; `tool` says who measured it.

    Source: the paper's Fig. 5 (executed over all executable lines, per input).
    Oracle: tests/analysis/test_figures.py::test_coverage_of_figure_5
    """

    executable: tuple[int, ...]
    tests: tuple[TraceRun, ...]
    tool: str = OWN_LINES

    def frac(self, executed: frozenset[int]) -> float:
        """The fraction of executable lines in `executed`."""
        lines = set(self.executable)
        return len(executed & lines) / len(lines) if lines else 0.0

    @property
    def union(self) -> frozenset[int]:
        """The lines that any test reached."""
        return frozenset().union(*(test.executed for test in self.tests))

    def to_dict(self) -> dict[str, Any]:
        """JSON: totals, the lines that no test reached, and every test's lines."""
        tests = [
            {
                "test": test.test,
                "status": test.status,
                "executed": sorted(test.executed),
                "coverage_frac": self.frac(test.executed),
            }
            for test in self.tests
        ]
        missed = sorted(set(self.executable) - self.union)
        shares = [row["coverage_frac"] for row in tests]
        return {
            "tool": self.tool,
            "executable": list(self.executable),
            "missed": missed,
            "coverage_frac": self.frac(self.union),
            "mean_coverage_frac": sum(shares) / len(shares) if shares else 0.0,
            "tests": tests,
        }


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The five categories. What could not be had is None, and `notes` says why."""

    language: str
    basic: BasicInformation | None
    smells: tuple[Finding, ...]
    bugs: tuple[Finding, ...]
    coverage: Coverage | None
    path: str = ""
    notes: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)

    def efficiency(self) -> list[dict[str, Any]]:
        """Per test the lines that took any time, slowest first (the paper's Fig. 6)."""
        rows = []
        for test in self.coverage.tests if self.coverage else ():
            total = sum(cost.time_s for cost in test.lines)
            reached = sorted((c for c in test.lines if c.hits), key=lambda c: -c.time_s)
            lines = [cost.to_dict(total) for cost in reached]
            rows.append({"test": test.test, "time_s": total, "lines": lines})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """One JSON object with the five categories."""
        from burnish.base.canonical import jsonable

        return {
            "path": self.path,
            "language": self.language,
            "basic": None if self.basic is None else jsonable(self.basic),
            "smells": [jsonable(x) for x in self.smells],
            "bugs": [jsonable(x) for x in self.bugs],
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
            "efficiency": None if self.coverage is None else self.efficiency(),
            "tools": dict(self.tools),
            "notes": list(self.notes),
        }
