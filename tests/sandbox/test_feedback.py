"""Prompts, code out of answers, and rewards."""

import pytest

from burnish.base.errors import InputError, UnknownNameError
from burnish.sandbox import feedback
from burnish.sandbox.judging import judge
from burnish.sandbox.problem import Problem, StdioTest
from burnish.sandbox.program_reward import ProgramReward

TESTS = (StdioTest(stdin="2\n", stdout="4\n"), StdioTest(stdin="-1\n", stdout="-2\n"))
CODE = "n = int(input())\nif n > 0:\n    print(2 * n)\nelse:\n    print(n)\n"

ANSWERS = [
    ("```python\nprint(1)\n```", "print(1)\n"),
    ("First\n```\nprint(1)\n```\nthen\n```python\nprint(2)\n```\nbye", "print(2)\n"),
    ("```python\nprint(1)\n```\nin C:\n```c\nint x;\n```", "print(1)\n"),
    ("```py\nprint(1)\n```", "print(1)\n"),
    ("print(1)", "print(1)"),
    ("Sure:\n```python\nprint(1)\n", "print(1)\n"),
    ("~~~python\nprint('```')\n~~~", "print('```')\n"),
    ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
    ("use ``` for fences", ""),
    ("print(1)\n```", "print(1)\n"),
    ("\nprint(1)\n\nprint(2)\n```\n\n", "print(1)\n\nprint(2)\n"),
    ("\n```\n", ""),
    ("```", ""),
]


def check_extraction(extract):
    for text, code in ANSWERS:
        assert extract(text, "python") == code, text


def test_code_out_of_planted_answers():
    check_extraction(feedback.extract_code)


def test_planted_extraction_of_the_first_block():
    with pytest.raises(AssertionError):
        check_extraction(lambda text, language: text.split("```")[1].partition("\n")[2])


def test_the_six_templates_are_there():
    names = ["correct", "generate", "locate", "refine", "translate", "write_tests"]
    assert feedback.template_names() == names
    with pytest.raises(UnknownNameError, match="Did you mean 'correct'"):
        feedback.render("corect")
    with pytest.raises(UnknownNameError, match="problem"):
        feedback.render("generate", language="c", interface="")


def test_fields_are_never_expanded():
    text = feedback.generate_prompt("print $language and ${problem} for 5$", "c")
    assert "print $language and ${problem} for 5$" in text
    assert "```c" in text


def test_a_correction_prompt_holds_the_verdict(sandbox_cache):
    judged = judge(Problem(code=CODE, language="python", tests=TESTS))
    text = feedback.correct_prompt("Double it.", CODE, judged)
    assert "1 of 2 tests pass" in text and "test 2: wrong_answer" in text and CODE in text


def test_rewards_by_hand(sandbox_cache):
    tests = [{"stdin": "2\n", "stdout": "4\n"}]
    completions = [
        "```python\nprint(2 * int(input()))\n```",
        [{"role": "assistant", "content": "```python\nprint(int(input()))\n```"}],
        "```python\nint('x')\n```",
        "```python\ndef (\n```",
        "``` nothing",
    ]
    reward = ProgramReward(num_workers=2)
    columns = {"tests": [tests] * 5, "difficulty": ["easy"] * 5}
    rewards = reward(prompts=["P"] * 5, completions=completions, **columns)
    assert rewards == [1.0, -0.3, -0.6, -1.0, -1.0]
    assert reward.__name__ == "program_reward"


def test_a_language_that_is_not_here_has_no_reward(sandbox_cache, monkeypatch):
    from burnish.sandbox import judging
    from burnish.sandbox.languages.language import MissingToolChain

    missing = MissingToolChain(language="Lua", program="lua", package="lua5.4")
    monkeypatch.setattr(judging, "find_chain", lambda language: missing)
    columns = {"tests": [[{"stdin": "", "stdout": ""}]], "language": ["lua"]}
    assert ProgramReward()(prompts=[""], completions=["print(1)"], **columns) == [None]


def test_rows_without_tests_are_refused():
    with pytest.raises(InputError, match="has no tests"):
        ProgramReward()(prompts=["P"], completions=["x"], answer=["y"])
