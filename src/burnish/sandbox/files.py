"""Programs in files: what `burnish sandbox detect` and `analyze` do, for Python too."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError, SettingError
from burnish.base.files import existing_file, write_json
from burnish.sandbox.analysis.analyze import analyze
from burnish.sandbox.analysis.sarif import to_sarif
from burnish.sandbox.analysis.schema import Analysis, Finding
from burnish.sandbox.detection import detect
from burnish.sandbox.languages import languages

Table = tuple[str, list[str], list[list[str]]]
NUM_SHOWN = 12


def read_program(path: Path) -> str:
    """The text of a source file, `-` for standard input; what is no UTF-8 is replaced.

    Raises: MissingFileError; InputError, for what is no text at all.
    """
    code = _read(path)
    if "\0" in code:
        raise InputError(str(path), code[:16], "must be text", remedy="Name a source file")
    return code


def detect_files(paths: Sequence[Path], *, content_only: bool = False) -> list[dict[str, Any]]:
    """Path, language (None: not clear) and confidence of each file.

    A file without text has no language, and the row has the `reason`: the others still count.
    Raises: MissingFileError.
    """
    return [_detect_file(path, content_only=content_only) for path in paths]


def _detect_file(path: Path, *, content_only: bool) -> dict[str, Any]:
    code = _read(path)
    row = {"path": str(path), "language": None, "confidence": 0.0, "candidates": []}
    if not code.strip() or "\0" in code:
        return row | {"reason": "it holds bytes, no text" if "\0" in code else "it is empty"}
    found = detect(code, None if content_only or str(path) == "-" else path)
    row |= {"language": found.language, "confidence": found.confidence}
    row["candidates"] = [{"language": n, "confidence": p} for n, p in found.candidates[:3]]
    return row | {"reason": "" if found.language else "no language is likely enough"}


def _read(path: Path) -> str:
    stream = sys.stdin.buffer if str(path) == "-" else None
    content = stream.read() if stream else existing_file(path).read_bytes()
    return content.decode("utf-8", errors="replace")


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
