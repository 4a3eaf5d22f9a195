"""What each analyser prints, as findings. Raises: ValueError, KeyError, TypeError on other text."""

import json
import re
from collections.abc import Iterator
from typing import Any

from burnish.analysis.schema import Finding

_LEVELS = {"error": "error", "high": "error", "fatal": "error", "warning": "warning",
           "medium": "warning"}  # fmt: skip
_WRONG = ("E9", "F5", "F6", "F7", "F82", "PLE")  # ruff's rules about what fails when it runs
_CWE_OF_OXLINT = {"no-eval": "CWE-95", "no-implied-eval": "CWE-95", "no-new-func": "CWE-95"}
_INTERPRETED = re.compile(r"^(?:PHP )?(?:.*?main\.\w+:(\d+): )?(.*?)(?: in main\.\w+)?(?: (?:on|at) (?:main\.pl )?line (\d+))?\.?$")  # fmt: skip  # noqa: E501


def finding(
    rule: str, message: str, line: int, *, severity: str = "", column: int = 1, cwe: str = ""
) -> Finding:
    """A finding with the severity in our three words; the tool's name is filled in later."""
    level = _LEVELS.get(severity.lower(), "note")
    return Finding(
        rule=rule, message=message, line=max(line, 1), severity=level, tool="", column=column,
        cwe=cwe,
    )  # fmt: skip


def ruff(out: str, err: str) -> list[Finding]:
    """`ruff check --output-format=json`."""
    return [
        finding(
            row["code"] or "syntax", row["message"], row["location"]["row"],
            severity="error" if (row["code"] or "E9").startswith(_WRONG) else "warning",
            column=row["location"]["column"],
        )
        for row in json.loads(out)
    ]  # fmt: skip


def bandit(out: str, err: str) -> list[Finding]:
    """`bandit -f json`."""
    return [
        finding(
            row["test_id"], row["issue_text"], row["line_number"], severity=row["issue_severity"],
            column=row.get("col_offset", 0) + 1,
            cwe=f"CWE-{row['issue_cwe']['id']}" if row.get("issue_cwe", {}).get("id") else "",
        )
        for row in json.loads(out[out.index("{") :])["results"]
    ]  # fmt: skip


def gcc(out: str, err: str) -> list[Finding]:
    """`gcc -fdiagnostics-format=json`; the analyser names CWEs."""
    start = err.find("[")
    rows = json.JSONDecoder().raw_decode(err[start:])[0] if start >= 0 else []
    return [
        finding(
            str(row.get("option", row["kind"])).lstrip("-"), row["message"],
            _caret(row, "line"), severity=row["kind"], column=_caret(row, "byte-column"),
            cwe=f"CWE-{row['metadata']['cwe']}" if "cwe" in row.get("metadata", {}) else "",
        )
        for row in rows
    ]  # fmt: skip


def _caret(row: dict[str, Any], key: str) -> int:
    return int(row["locations"][0]["caret"][key]) if row.get("locations") else 1


def cppcheck(out: str, err: str) -> list[Finding]:
    """`cppcheck --template` with tabs."""
    rows = [line.split("\t") for line in (out + err).splitlines() if line.count("\t") >= 5]
    return [
        finding(rule, message, int(line), severity=level, column=int(column),
                cwe=f"CWE-{cwe}" if cwe.isdecimal() and cwe != "0" else "")
        for line, column, level, rule, cwe, message, *_ in rows
        if rule not in {"missingInclude", "missingIncludeSystem", "checkersReport"}
    ]  # fmt: skip


def clang_tidy(out: str, err: str) -> list[Finding]:
    """`clang-tidy --quiet`; what belongs to a finding above it (`note:`) is left out."""
    marks = re.findall(
        r"^\S*?main\.\w+:(\d+):(\d+): (warning|error): (.*?)(?: \[([\w.,+-]+)\])?$", out, re.M
    )
    if not marks and re.search(r"^Error while|^error: ", err + out, re.M):
        raise ValueError(err.strip()[:200])
    return [
        finding(rule.split(",")[0] or kind, text, int(line), severity=kind, column=int(column))
        for line, column, kind, text, rule in marks
    ]


def shellcheck(out: str, err: str) -> list[Finding]:
    """`shellcheck --format=json1`."""
    return [
        finding(f"SC{row['code']}", row["message"], row["line"], severity=row["level"],
                column=row["column"])
        for row in json.loads(out)["comments"]
    ]  # fmt: skip


def oxlint(out: str, err: str) -> list[Finding]:
    """`oxlint --format=json`."""
    found = []
    for row in json.loads(out[out.index("{") :])["diagnostics"]:
        rule = re.sub(r"^.*\((.*)\)$", r"\1", row.get("code") or "syntax")
        spans = row.get("labels") or [{"span": {"line": 1, "column": 1}}]
        span = spans[0]["span"]
        found.append(
            finding(
                rule,
                row["message"],
                span.get("line", 1),
                severity=row["severity"],
                column=span.get("column", 1),
                cwe=_CWE_OF_OXLINT.get(rule, ""),
            )
        )
    return found


def javac(out: str, err: str) -> list[Finding]:
    """`javac -Xlint:all`."""
    marks = re.findall(r"^\w+\.java:(\d+): (error|warning): (?:\[([\w-]+)\] )?(.*)$", err, re.M)
    return [finding(rule or kind, text, int(line), severity=kind) for line, kind, rule, text in marks]  # fmt: skip  # noqa: E501


def go_vet(out: str, err: str) -> list[Finding]:
    """`go vet`; the compiler's errors look the same."""
    marks = re.findall(r"^(?:vet: )?(?:\./)?main\.go:(\d+):(\d+): (.*)$", out + err, re.M)
    return [
        finding("vet", text, int(line), severity="warning", column=int(column))
        for line, column, text in marks
    ]


def rustc(out: str, err: str) -> list[Finding]:
    """`rustc --error-format=json`, one object a line."""
    return list(_rust_rows(err))


def _rust_rows(err: str) -> Iterator[Finding]:
    for line in err.splitlines():
        row = json.loads(line) if line.startswith("{") else {}
        spans = [s for s in row.get("spans", []) if s["is_primary"]]
        if spans:
            rule = (row.get("code") or {}).get("code", row["level"])
            yield finding(
                rule, row["message"], spans[0]["line_start"], severity=row["level"],
                column=spans[0]["column_start"],
            )  # fmt: skip


def mcs(out: str, err: str) -> list[Finding]:
    """Mono's compiler."""
    marks = re.findall(r"^main\.cs\((\d+),(\d+)\): (error|warning) (CS\d+): (.*)$", out + err, re.M)
    return [
        finding(rule, text, int(line), severity=kind, column=int(column))
        for line, column, kind, rule, text in marks
    ]


def interpreter(out: str, err: str) -> list[Finding]:
    """Ruby, Perl and PHP checking without running; lines that name no line are no findings."""
    found = []
    for text in err.splitlines() + out.splitlines():
        match = _INTERPRETED.match(text.strip())
        line = (match[1] or match[3]) if match else None
        if match and line:
            message = match[2]
            kind = "error" if "error" in message.lower() else "warning"
            found.append(finding("check", message, int(line), severity=kind))
    return found
