"""SARIF: the shape that the standard asks for, and that nothing is lost."""

import json

from burnish.analysis.sarif import to_sarif
from burnish.analysis.schema import Analysis, Finding

FINDINGS = (
    Finding(rule="a", message="m", line=3, severity="warning", tool="x", cwe="CWE-78"),
    Finding(rule="b", message="n", line=1, severity="error", tool="y", column=4),
    Finding(rule="a", message="o", line=9, severity="note", tool="x"),
)


def analysis(findings):
    fields = {"basic": None, "smells": tuple(findings), "bugs": (), "coverage": None}
    return Analysis(language="c", path="main.c", **fields)


def test_it_is_valid_sarif():
    sarif = json.loads(json.dumps(to_sarif(analysis(FINDINGS))))
    assert sarif["version"] == "2.1.0"
    found = set()
    for run in sarif["runs"]:
        rules = run["tool"]["driver"]["rules"]
        assert len({rule["id"] for rule in rules}) == len(rules)
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["level"] in {"note", "warning", "error"}
            region = result["locations"][0]["physicalLocation"]["region"]
            found.add((run["tool"]["driver"]["name"], result["ruleId"], region["startLine"]))
    assert found == {("x", "a", 3), ("x", "a", 9), ("y", "b", 1)}


def test_nothing_found_is_an_empty_run():
    (run,) = to_sarif(analysis(()))["runs"]
    assert run["results"] == []
