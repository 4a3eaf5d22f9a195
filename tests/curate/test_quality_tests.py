"""Tests that a model writes."""

import pytest
from fixtures.curating import row
from fixtures.executing import Here

from burnish.base.meter import Meter
from burnish.contracts.generation import Completion
from burnish.curate.programs import program_of
from burnish.curate.quality import RowTests, measure_quality
from burnish.curate.quality_tests import ModelTests, call_of, model_of, read_tests, source_of
from burnish.curate.samples import read_sample
from burnish.engine import answers

RIGHT = "def double(x):\n    return 2 * x\n"
SAID = """Here are the tests:
```python
assert double(2) == 4
1. assert double([1]) == [1, 1]
assert double(2) == 4
assert double(3) == 7
assert print(1) is None
assert double(
double(5) == 10
```"""


def of(question, answer):
    return read_sample(row(1, question, answer), 1)


def test_tests_out_of_a_models_text():
    program = program_of(of("Double x.", RIGHT))
    found = ["assert double(2) == 4", "assert double([1]) == [1, 1]", "assert double(3) == 7"]
    assert read_tests(SAID, program, 12) == found
    assert read_tests(SAID, program, 2) == found[:2]
    assert read_tests("I cannot write tests.", program, 12) == []


def check_asked(monkeypatch):
    """One prompt a question; the answer is not in it; one of its three tests is wrong."""
    asked = []

    def answer_all(handle, prompts, *, meter, how):
        asked.extend(prompts)
        return [
            Completion(id=p.id, tokens=(), text=SAID, finish="eos", num_passes=1) for p in prompts
        ]

    monkeypatch.setattr(answers, "answer_all", answer_all)
    source = source_of(model_of("model:some"), Meter())
    wrong = RIGHT.replace("2 *", "3 *")
    samples = [of("Double x.", RIGHT), of("Double x.", wrong), of("Hello", "Hi")]
    found = measure_quality(samples, Here(), source=source)
    assert len(asked) == 1
    (message,) = asked[0].content
    assert "Double x." in message["content"] and "`double`" in message["content"]
    assert "return" not in message["content"]
    assert [(q.state, q.passed, q.total) for q in found] == [
        ("executable", 2, 3), ("executable", 0, 3), ("not_executable", 0, 0)
    ]  # fmt: skip
    assert found[0].value > 0.5 > found[1].value


def test_a_model_is_asked_once_an_answer(monkeypatch):
    check_asked(monkeypatch)


def test_planted_prompt_with_the_answer(monkeypatch):
    from burnish.curate import quality_tests

    monkeypatch.setattr(quality_tests, "_question", lambda s, p, most: s.question + s.answer)
    with pytest.raises(AssertionError):
        check_asked(monkeypatch)


def test_sources():
    assert model_of("examples") is None and isinstance(source_of(None, Meter()), RowTests)
    handle = model_of("model:tiny")
    assert handle.spec == "tiny" and isinstance(source_of(handle, Meter()), ModelTests)


def test_a_real_model_is_asked(tiny_folder):
    """A tiny model writes no test: the row has none, which is not zero."""
    source = source_of(model_of(f"model:{tiny_folder()}"), Meter())
    (found,) = measure_quality([of("Double x.", RIGHT)], Here(), source=source)
    assert (found.state, found.value) == ("no_tests", None)


def test_inputs_of_tests():
    assert call_of("assert f([1, 2], 'a') == 3", ["f"]) == "[1, 2], 'a'"
    assert call_of("assert g(f(2)) == 3", ["f"]) == "2"
    for text in ("assert f(x) == 3", "assert f() == 3", "assert f(a=1) == 3", "assert h(1)"):
        assert call_of(text, ["f"]) == ""
