"""`programs`, a checker and a source that another layer brings: known by name like our own."""

from burnish.contracts.task import Verdict
from burnish.data.checkers import checkers
from burnish.data.sources import sources
from burnish.recipes.programs import ProgramChecker, ProgramSource


def test_the_plugin_is_known_by_its_name():
    assert checkers.parse("programs") == ProgramChecker()
    assert checkers.spec(ProgramChecker(isolation="strict")) == "programs:isolation=strict"
    assert sources.get("programs").from_text("humaneval") == ProgramSource(path="humaneval")


def test_a_text_without_a_program_is_unparsable():
    from burnish.sandbox.tasks import program_task

    row = {"prompt": "Print 1.", "tests": [{"stdin": "", "stdout": "1\n"}]}
    task = program_task(row, group="g")
    assert checkers.parse(task.checker).check("``` no", task).verdict == Verdict.UNPARSABLE


def test_a_judge_comes_from_another_layer_too():
    from burnish.recipes.model_judge import ModelJudge

    spec = "model-judge:model=openai:http://127.0.0.1:8000/v1#judge"
    assert checkers.parse(spec) == ModelJudge(model=spec.partition("=")[2])
