"""`improve` where a server samples and judges; the local model is trained and measured."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.improving import ANSWERS, task_rows, write_tasks
from fixtures.serving import serve

from burnish.base.errors import BurnishError
from burnish.base.files import read_json
from burnish.base.log import RecordLog
from burnish.engine.answers import Answering
from burnish.models.handle import ModelHandle
from burnish.recipes import model_judge  # noqa: F401 (registers, where the plug-ins are older)
from burnish.recipes.improve import improve

LOCAL = ("measure-before", "control-few-shot", "dev-0", "dev-1", "control-vote", "measure-after")


def teach_and_judge(prompt: str, body: dict[str, Any]) -> str:
    """Knows the colours; judges what is shown as an answer by the reference."""
    if "VERDICT" not in prompt:
        return f"{ANSWERS[prompt.split()[0]]}"
    reference = prompt.split("Reference answer:\n")[1].split("\n")[0]
    answer = prompt.split("Answer to check:\n")[1].split("\n\nThe answer is right")[0]
    return f"VERDICT: {'RIGHT' if answer.strip() == reference else 'WRONG'}"


def rows_of(run: Path, stage: str) -> list[dict[str, Any]]:
    return RecordLog(run / "stages" / stage / "answers.jsonl").peek()


def check_served(settings: Any, finished: Path, place: Path, monkeypatch: Any) -> None:
    """Interrupted while the server samples; then resumed without asking for an answer twice."""
    with serve(teach_and_judge) as (serving, spec):
        judged = [row | {"checker": f"model-judge:model={spec}"} for row in task_rows()]
        tasks = write_tasks(place / "judged.jsonl", judged)
        sample = replace(settings.sample, model=spec)
        settings = replace(settings, tasks=(str(tasks),), sample=sample, rounds=1)
        exact, seen = RecordLog.append, []

        def append(log: RecordLog, row: Any) -> None:
            exact(log, row)
            seen.append(log.path.parent.name)
            if seen.count("sample-1") == 20:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(RecordLog, "append", append)
            improve(settings, runs=place / "runs")
        result = improve(settings, runs=place / "runs")
    run = Path(result["run"])
    sampled = rows_of(run, "sample-1")
    assert {row["provenance"]["model"] for row in sampled} == {spec}
    assert {row["verdict"] for row in sampled} == {"right"}
    asked = Counter(b["seed"] for b in serving.asked if b["max_tokens"] != 512)
    assert len(asked) == len(sampled) == 64
    assert sum(asked.values()) <= 64 + Answering().num_concurrent  # those on their way then
    own = ModelHandle(settings.model).short_key
    assert {row["provenance"]["model"] for row in rows_of(run, "measure-before")} == {own}
    for stage in LOCAL:
        assert not {spec} & {row["provenance"]["model"] for row in rows_of(run, stage)}
    assert result["cost"]["drafting"]["sample-1"]["choice"] == "server"
    before = read_json(finished / "result.json")["before"]["accuracy"]
    assert result["before"]["accuracy"] == before  # the judge agrees with the checker of numbers
    assert result["after"]["accuracy"]["value"] > before["value"] + 0.2


def test_a_server_samples_and_judges(
    settings: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_served(settings, finished, tmp_path, monkeypatch)


def test_planted_server_that_is_measured(
    settings: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sampler that answers in place of the model everywhere."""
    from burnish.recipes.steps.answers import AnswerStep
    from burnish.recipes.steps.sample import SAMPLER

    monkeypatch.setattr(AnswerStep, "reads", property(lambda s: (SAMPLER, *s.tasks, "decoding")))
    exact = AnswerStep.make

    def mutant(self: Any, *given: Any) -> Any:
        return exact(replace(self, model=SAMPLER), *given)

    monkeypatch.setattr(AnswerStep, "make", mutant)
    with pytest.raises((AssertionError, BurnishError)):
        check_served(settings, finished, tmp_path, monkeypatch)


SERVER = "openai:http://127.0.0.1:1/v1#m"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": SERVER}, "MODEL must be a local model: it is trained and measured"),
        ({"sample.model": "openai:nowhere"}, "openai:URL#name"),
        ({"sample.model": "no-such-model"}, "is neither an embedded model"),
        ({"sample.model": SERVER, "sample.draft": "ngram"}, "sample.draft must be left out"),
    ],
)
def test_what_is_refused_before_a_run_begins(
    changes: dict[str, str], says: str, settings: Any, tmp_path: Path
) -> None:
    inner = {k.partition(".")[2]: v for k, v in changes.items() if "." in k}
    outer = {k: v for k, v in changes.items() if "." not in k}
    wrong = replace(settings, sample=replace(settings.sample, **inner), **outer)
    with pytest.raises(BurnishError, match=says) as caught:
        improve(wrong, runs=tmp_path / "runs")
    assert caught.value.exit_code == 2 and len(str(caught.value)) < 400
    assert not (tmp_path / "runs").exists()


def test_another_local_model_may_sample(settings: Any, tmp_path: Path, tiny_folder: Any) -> None:
    """Its answers train the model; here none is right, which is told."""
    from burnish.base.errors import IncompleteError

    sample = replace(settings.sample, model=str(tiny_folder("llama")), num_extra=0)
    with pytest.raises(IncompleteError, match="none of the samples was right"):
        improve(replace(settings, sample=sample), runs=tmp_path)
    (run,) = [path for path in tmp_path.iterdir() if not path.is_symlink()]
    own = ModelHandle(str(tiny_folder("llama"))).short_key
    assert {row["provenance"]["model"] for row in rows_of(run, "sample-1")} == {own}
