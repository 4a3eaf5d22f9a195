"""Check what a run claims: its files, its steps made again, its result computed again."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import burnish
from burnish.base.canonical import content_hash, file_hash, jsonable
from burnish.base.errors import BurnishError, InputError
from burnish.base.files import read_json
from burnish.base.runs import RunRecord
from burnish.base.stages import DONE_FILE, KEY_FILE, StageResult, read_stage, run_stage
from burnish.jobs.job import TRAINED, Job
from burnish.jobs.runner import Done, make, run_parts, stage_inputs
from burnish.jobs.step import Given, Step, Value

Check = dict[str, str]
PLACES = ("run", "model", "weights", "minutes")


class Verification:
    """Walks through a job's steps as they lie in a run folder, and checks each."""

    def __init__(self, record: RunRecord, job: Job, scratch: Path, *, full: bool) -> None:
        self._record, self._job, self._scratch, self._full = record, job, scratch, full
        self.checks: list[Check] = []
        self.values: dict[str, Value] = dict(job.given)
        self.done: list[Done] = []

    def run(self) -> None:
        """Check settings, files, steps, result and model.

        Source: ours. Oracle: tests/jobs/test_verify.py::test_a_tampered_artefact_is_found
        """
        self._check_files()
        try:
            self.done += run_parts(self._job.parts, self.values, self._perform)
            self._check_result()
            self._check_model()
        except (BurnishError, OSError, KeyError, ValueError) as error:
            # what was tampered with can fail anywhere; that it fails is the finding
            self._note("steps can be read", f"{type(error).__name__}: {error}")

    def _note(self, name: str, why: str) -> None:
        outcome = "different" if why else "same"
        self.checks.append({"check": name, "outcome": outcome, "why": why})

    def _check_files(self) -> None:
        for stage in sorted((self._record.path / "stages").iterdir()):
            if (stage / DONE_FILE).exists():
                self._note(f"files of {stage.name}", changed_files(stage))

    def _perform(self, step: Step, given: Given) -> StageResult:
        """The step as the run left it; made again where its numbers rest on it."""
        folder = self._record.path / "stages" / step.name
        if not (folder / DONE_FILE).exists():
            if self._is_older:  # by a version without this step
                return self._again(step, given)
            remedy = "Repeat the command that made the run"
            raise InputError(f"stage {step.name}", str(folder), "is not there", remedy=remedy)
        stored = read_stage(folder)
        if not self._is_older:
            inputs = read_json(folder / KEY_FILE)["inputs"]
            changed = [
                name
                for name, value in jsonable(stage_inputs(step, given)).items()
                if inputs.get(name) != value
            ]
            self._note(f"inputs of {step.name}", ", ".join(changed))
        if why := step.recheck(stored, given):
            self._note(f"judgements of {step.name}", why)
        if self._full or step.verified == "again":
            again = self._again(step, given)
            self._note(f"{step.name}, made again", step.differences(stored, again))
        return stored

    def _again(self, step: Step, given: Given) -> StageResult:
        return run_stage(
            self._scratch,
            step.name,
            make=lambda stage: make(step, stage, given),
            inputs=stage_inputs(step, given),
            version=burnish.__version__,
            event=lambda *_, **__: None,
        )

    def _check_result(self) -> None:
        saved = self._record.result
        again = json.loads(json.dumps(self._job.result(self.done, self._record.info)))
        left_out = {*PLACES, *(("cost", "page") if self._is_older else ())}
        names = [n for n in saved if n not in left_out and saved[n] != again.get(n)]
        if self._is_older and "page" in saved:
            names += ["verdict"] * (saved["page"]["verdict"] != again["page"]["verdict"])
        self._note("numbers of result.json", ", ".join(names))

    def _check_model(self) -> None:
        if TRAINED not in self.values:
            return
        source, target = self.values[TRAINED].content, self._record.path / "model"
        if source is None or (self._is_older and not target.exists()):
            return
        files = [p.relative_to(source) for p in sorted(source.rglob("*")) if p.is_file()]
        wrong = [
            str(path)
            for path in files
            if not (target / path).is_file() or file_hash(target / path) != file_hash(source / path)
        ]
        self._note("files of the model", f"changed: {', '.join(wrong)}" if wrong else "")

    @property
    def _is_older(self) -> bool:
        """Whether the run was made before runs were made of steps."""
        paths = sorted((self._record.path / "stages").glob(f"*/{KEY_FILE}"))
        return not all("step" in read_json(path)["inputs"] for path in paths)


def verify_job(record: RunRecord, job: Job, *, full: bool = False) -> list[Check]:
    """All checks of a run; the run itself is not changed.

    Every file is compared with its hash, every step's inputs with what the settings say, every
    verdict with its answer; what claims rest on (`full`: every step) is made again in a temporary
    folder from what the run holds; the result and the page are computed again. Each check is
    `check`, `outcome` (same or different) and `why`.
    Source: ours. Oracle: tests/jobs/test_verify.py::test_a_tampered_artefact_is_found
    """
    plan = record.result.get("cost", {}).get("plan")
    if plan is not None:  # a rate that was measured then
        numbers = {**job.header.numbers, "cost": {"plan": plan}}
        job = replace(job, header=replace(job.header, numbers=numbers))
    with tempfile.TemporaryDirectory(prefix="burnish-verify-") as place:
        found = Verification(record, job, Path(place), full=full)
        found._note("settings of run.json", _settings_changed(record.info, job))
        found.run()
    return found.checks


def changed_files(stage: Path) -> str:
    """Files of a finished stage that are not as its hashes say, as one text."""
    wrong = [
        artefact["path"]
        for artefact in read_json(stage / DONE_FILE)["artefacts"]
        if not (stage / artefact["path"]).is_file()
        or file_hash(stage / artefact["path"]) != artefact["sha256"]
    ]
    return f"changed: {', '.join(wrong)}" if wrong else ""


def _settings_changed(info: Mapping[str, Any], job: Job) -> str:
    version = info.get("versions", {}).get("burnish", burnish.__version__)
    key = content_hash([info["what"], info["settings"], info["seed"], version])
    return "" if key == info["key"] else "the settings are not those that the run began with"


def differing(checks: Sequence[Check]) -> list[str]:
    """Names of the checks that found a difference."""
    return [check["check"] for check in checks if check["outcome"] == "different"]
