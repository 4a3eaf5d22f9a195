"""The symbolic worker: closed forms, and questions that hang."""

import threading
import time

import pytest

from burnish.data.math import symbolic
from burnish.data.math.expressions import read_expression
from burnish.data.math.keys import expression_key
from burnish.data.math.symbolic import Unresolved, closed_form, from_json, to_json

KNOWN = [
    ("\\sum_{k=1}^{n} k", "\\frac{n(n+1)}{2}"), ("\\int_0^1 x dx", "1/2"),
    ("\\int_0^\\pi \\sin x dx", "2"), ("\\sum_{n=1}^{\\infty} \\frac{1}{n^2}", "\\frac{\\pi^2}{6}"),
]  # fmt: skip
HANGS = "\\sum_{k=1}^{\\infty} \\frac{\\sin(k^{k})}{k^{k}+\\cos(k!)}"


def test_trees_survive_json():
    tree = read_expression("\\frac{x^2}{3}+\\sum_{k=1}^{n} k")
    assert from_json(to_json(tree)) == tree


def check_closed_forms():
    for text, form in KNOWN:
        key = expression_key(closed_form(read_expression(text), deadline_s=20))
        assert key == expression_key(read_expression(form)), text


def test_closed_forms():
    check_closed_forms()


def test_planted_answer_to_another_question(monkeypatch):
    real = symbolic.Client.ask
    other = to_json(read_expression("\\int_0^1 x^2 dx"))
    monkeypatch.setattr(symbolic.Client, "ask", lambda self, tree, s: real(self, other, s))
    with pytest.raises(AssertionError):
        check_closed_forms()


def test_a_hung_question_is_killed_and_its_neighbours_answer():
    """Seven neighbours of a hung question are answered; it ends unresolved."""
    found = {}

    def ask(name, text, deadline_s):
        try:
            found[name] = expression_key(closed_form(read_expression(text), deadline_s=deadline_s))
        except Unresolved:
            found[name] = "unresolved"

    jobs = [("hung", HANGS, 0.5)] + [(i, "\\int_0^1 x dx", 20) for i in range(7)]
    threads = [threading.Thread(target=ask, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"hung": "unresolved", **{i: ("q", 1, 2) for i in range(7)}}


def test_a_worker_that_died_is_replaced():
    closed_form(read_expression("\\int_0^1 x dx"), deadline_s=20)
    client = symbolic._CLIENT[0]
    client._process.kill()
    client._process.wait()
    time.sleep(0.05)
    assert closed_form(read_expression("\\int_0^1 x dx"), deadline_s=20)
