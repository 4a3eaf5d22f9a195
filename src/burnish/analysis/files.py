"""Programs in files: what `burnish sandbox analyze` does, for Python too."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from burnish.analysis.analyze import analyze
from burnish.analysis.sarif import to_sarif
from burnish.analysis.schema import Analysis, Finding
from burnish.base.errors import SettingError
from burnish.base.files import write_json
from burnish.sandbox.detection import detect
from burnish.sandbox.files import read_program
from burnish.sandbox.languages import languages

Table = tuple[str, list[str], list[list[str]]]
NUM_SHOWN = 12


def analyze_file(
    path: Path,
    *,
    language: str = "",
    stdins: Sequence[Path] = (),
    run: bool = True,
    sarif: Path | None = None,
    isolation: str = "auto",
) -> Analysis:
    """Analyse a program in a file, and write the findings as SARIF if asked.

    Raises: MissingFileError; InputError, for what is no text; SettingError, where the language is
    not clear; StorageError.
    """
    code = read_program(path)
    if not language:
        found = detect(code, path).language
        if found is None:
            remedy = f"Name it with --lang: {', '.join(languages.names())}"
            raise SettingError("language", str(path), "is not clear", remedy=remedy)
        language = found
    inputs = [read_program(stdin) for stdin in stdins]
    analysis = analyze(code, language, stdins=inputs, isolation=isolation, run=run)
    analysis = dataclasses.replace(analysis, path=str(path))
    if sarif is not None:
        write_json(sarif, to_sarif(analysis))
    return analysis


def analysis_tables(analysis: Analysis) -> list[Table]:
    """The analysis as tables for people: title, columns, rows."""
    tables: list[Table] = []
    if analysis.basic:
        basic = analysis.basic
        names = ("num_lines", "num_code_lines", "complexity")
        facts = [[name, str(getattr(basic, name))] for name in names]
        facts.append(["maintainability", f"{basic.maintainability:.1f} of 100"])
        facts.append(["Halstead volume", f"{basic.halstead.volume:.1f}"])
        tables.append((f"{analysis.path} is {analysis.language}", ["what", "value"], facts))
    for title, findings in (("Bugs", analysis.bugs), ("Smells", analysis.smells)):
        if findings:
            columns = ["line", "severity", "rule", "cwe", "message"]
            rows = [_cells(f) for f in findings[:NUM_SHOWN]]
            tables.append((f"{title}: {len(findings)}", columns, rows))
    if analysis.coverage:
        tables += _run_tables(analysis)
    if analysis.notes:
        tables.append(("What could not be had", ["note"], [[n] for n in analysis.notes]))
    return tables


def _cells(finding: Finding) -> list[str]:
    message = finding.message.splitlines()[0][:90]
    return [str(finding.line), finding.severity, finding.rule, finding.cwe, message]


def _run_tables(analysis: Analysis) -> list[Table]:
    coverage = analysis.coverage.to_dict() if analysis.coverage else {}
    rows = [
        [str(t["test"]), str(len(t["executed"])), f"{t['coverage_frac']:.2f}", t["status"]]
        for t in coverage["tests"]
    ]
    title = f"Coverage {coverage['coverage_frac']:.2f}, missed lines {coverage['missed']}"
    slow = [
        [str(test["test"]), str(x["line"]), str(x["hits"]), f"{x['time_s'] * 1000:.3f}",
         f"{x['time_frac']:.2f}"]
        for test in analysis.efficiency()
        for x in test["lines"][:3]
    ]  # fmt: skip
    columns = ["test", "line", "hits", "time_ms", "time_frac"]
    return [
        (title, ["test", "lines", "coverage_frac", "status"], rows),
        ("Slowest lines", columns, slow),
    ]
