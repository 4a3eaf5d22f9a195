"""Findings in SARIF 2.1.0, the format that code hosts and editors read."""

from typing import Any

import burnish
from burnish.analysis.schema import Analysis, Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_sarif(analysis: Analysis) -> dict[str, Any]:
    """One run per tool, with its rules and results; a CWE becomes a tag of the result's rule.

    Source: OASIS SARIF 2.1.0.
    Oracle: tests/analysis/test_sarif.py::test_it_is_valid_sarif
    """
    findings = [*analysis.smells, *analysis.bugs]
    tools = sorted({finding.tool for finding in findings}) or ["burnish"]
    runs = [_run(tool, [f for f in findings if f.tool == tool], analysis.path) for tool in tools]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}


def _run(tool: str, findings: list[Finding], path: str) -> dict[str, Any]:
    rules = {f.rule: f for f in findings}
    driver = {
        "name": tool,
        "rules": [_rule(rule) for rule in rules.values()],
    }
    if tool == "burnish":
        driver["version"] = burnish.__version__
    order = {rule: i for i, rule in enumerate(rules)}
    results = [_result(f, order[f.rule], path) for f in findings]
    return {"tool": {"driver": driver}, "results": results}


def _rule(finding: Finding) -> dict[str, Any]:
    tags = [f"external/cwe/{finding.cwe.lower()}", "security"] if finding.cwe else []
    return {"id": finding.rule, "properties": {"tags": tags}}


def _result(finding: Finding, index: int, path: str) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": max(finding.column, 1)}
    place = {"artifactLocation": {"uri": path or "program"}, "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }
