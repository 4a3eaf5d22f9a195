"""A model as the judge: a strict reading of what it says, and failures that are never "wrong"."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.serving import serve

from burnish.base.errors import RemoteError, SettingError
from burnish.contracts.task import Task, Verdict
from burnish.data.checkers import checkers, judge, parse_checker
from burnish.data.tasks import make_task
from burnish.recipes.model_judge import ModelJudge, read_verdict

READINGS = [
    ("VERDICT: RIGHT", Verdict.RIGHT),
    ("They agree.\n\n  VERDICT: RIGHT \n", Verdict.RIGHT),
    ("5 is not 4.\nVERDICT: WRONG", Verdict.WRONG),
    ("VERDICT: WRONG\nVERDICT: RIGHT", None),  # which?
    ("VERDICT: RIGHT\nbut I may err", None),
    ("The verdict is right", None),
    ("VERDICT: right", None),
    ("VERDICT: RIGHT.", None),
    ("I would say VERDICT: RIGHT", None),
    ("VERDICT:", None),
    ("", None),
]


def check_readings(read: Callable[[str], Verdict | None]) -> None:
    for text, verdict in READINGS:
        assert read(text) is verdict, text


def test_planted_verdicts() -> None:
    check_readings(read_verdict)


def test_planted_reading_that_is_not_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    def mutant(text: str) -> Verdict | None:
        return Verdict.RIGHT if "RIGHT" in text.upper() else Verdict.WRONG if text else None

    with pytest.raises(AssertionError):
        check_readings(mutant)


def task_for(spec: str, **fields: Any) -> Task:
    told = checkers.spec(ModelJudge(model=spec, **fields))
    return make_task("What is 2 + 2? {answer}", "4", group="sums", checker=told)


def honest(question: str, body: dict[str, Any]) -> str:
    """Reads the parts of the default template."""
    answer = question.split("Answer to check:\n")[1].split("\n\nThe answer is right")[0]
    reference = question.split("Reference answer:\n")[1].split("\n")[0]
    return f"It says {answer}.\nVERDICT: {'RIGHT' if reference in answer else 'WRONG'}"


def test_a_server_judges() -> None:
    with serve(honest) as (serving, spec):
        task = task_for(spec)
        right, wrong = judge("It is 4.", task), judge("Answer: 5", task)
        assert (right.verdict, wrong.verdict) == (Verdict.RIGHT, Verdict.WRONG)
        assert wrong.extracted == "5" and "It says Answer: 5." in wrong.reason
        assert len(serving.asked) == 2
        assert judge(" \n", task).verdict is Verdict.UNPARSABLE
        assert len(serving.asked) == 2  # nothing to ask
        body = serving.asked[0]
        assert (body["temperature"], body["max_tokens"], body["model"]) == (0.0, 512, "teacher")


def test_texts_are_put_in_once() -> None:
    """Braces of the task or the answer are text, not places of the template."""
    with serve(lambda question, body: "VERDICT: WRONG") as (serving, spec):
        task = task_for(spec, template="{prompt}|{reference}|{answer}|{other}")
        judge("{reference} {prompt}", task)
        question = serving.asked[0]["messages"][-1]["content"]
        assert question == "What is 2 + 2? {answer}|4|{reference} {prompt}|{other}"


def test_a_judge_that_says_nothing_usable_scores_nothing() -> None:
    with serve(lambda question, body: "Right, I think") as (serving, spec):
        found = judge("4", task_for(spec))
        assert found.verdict is Verdict.UNSCORED
        assert found.reason == "the judge wrote: Right, I think"
        serving.status = 400  # too long for its window, for example
        assert judge("4", task_for(spec)).verdict is Verdict.UNSCORED


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_server_that_fails_stops_the_work(status: int) -> None:
    with serve(honest) as (serving, spec):
        serving.status = status
        with pytest.raises(RemoteError, match=str(status)):
            judge("4", task_for(spec))


def test_nobody_listens() -> None:
    with pytest.raises(RemoteError):
        judge("4", task_for("openai:http://127.0.0.1:1/v1#m"))


def test_a_judge_without_token_counts_will_do() -> None:
    with serve(honest) as (serving, spec):
        serving.tells_usage = False
        assert judge("4", task_for(spec)).verdict is Verdict.RIGHT


def test_a_verdict_that_was_cut_off_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.contracts.generation import Completion

    ends = itertools.cycle(["length", "stop"])

    def answer(*_: Any, **__: Any) -> list[Completion]:
        made = {"id": "verdict", "tokens": (1,), "num_passes": 1}
        return [Completion(text="VERDICT: RIGHT", finish=next(ends), **made)]  # type: ignore

    monkeypatch.setattr("burnish.engine.answers.answer_all", answer)
    verdicts = [judge("4", task_for("smollm2-135m")).verdict for _ in range(2)]
    assert verdicts == [Verdict.UNSCORED, Verdict.RIGHT]


def test_a_local_model_judges_too(tiny_folder: Any) -> None:
    task = task_for(str(tiny_folder("llama")), max_new_tokens=3)
    assert judge("4", task).verdict is Verdict.UNSCORED  # it has learned nothing


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("model-judge:model=openai:localhost#m", "openai:URL#name"),
        ('model-judge:model=""', "must name a model"),
        ("model-judge:model=m,template=hello", "must hold {answer}"),
        ("model-judge:model=m,max_new_tokens=0", "max_new_tokens must be at least 1"),
        ("model-judge", "model"),
    ],
)
def test_specs_that_are_refused(spec: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        parse_checker(spec)
