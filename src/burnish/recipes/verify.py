"""Run a claim again from its manifest: same or different, and why."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.base import provenance
from burnish.base.errors import InputError
from burnish.base.records import file_hash, read_json
from burnish.base.runs import RunRecord, load_run
from burnish.base.settings import load_settings
from burnish.base.stages import DONE_FILE
from burnish.recipes.answering import read_answers
from burnish.recipes.improve import improve
from burnish.recipes.settings import ImproveSettings

MEASURED = ("measure-before", "measure-after")
VARYING = ("run", "model", "minutes", "cost", "page", "claims")  # places and times


def verify_run(path: Path, *, full: bool = False) -> dict[str, Any]:
    """Check every file of a run against its hash, then answer the held-out tasks again.

    With `full`, every stage is repeated. The rerun happens in a temporary folder; the run itself
    is not changed. Raises InputError for a run of another command, MissingFileError for one that
    has not come to its end.
    Source: ours. Oracle: tests/recipes/test_verify.py::test_a_changed_answer_is_found
    """
    record = load_run(path)
    if record.info["what"] != "improve":
        raise InputError(
            "run", record.info["what"], "must be a run of improve", remedy="Name another run"
        )
    claimed = record.result
    checks = [*_check_files(record)]
    with tempfile.TemporaryDirectory(prefix="burnish-verify-") as place:
        again = Path(place) / record.path.name
        _copy(record.path, again, without=MEASURED, everything=not full)
        settings = load_settings(ImproveSettings, base=_settings(record.info["settings"]))
        result = improve(settings, runs=Path(place), folder=again)
        checks += _compare_answers(record.path, again)
        checks.append(_compare_numbers(claimed, result))
    same = all(check["outcome"] == "same" for check in checks)
    why = "" if same else f" Since then: {_changes(record.info)}."
    return {
        "run": str(record.path),
        "same": same,
        "checks": checks,
        "sentence": ("Same: the run's claims were reproduced." if same else "Different.") + why,
    }


def _settings(saved: Mapping[str, Any]) -> ImproveSettings:
    from burnish.base.coercion import coerce_value

    return coerce_value("settings", saved, ImproveSettings)


def _copy(source: Path, target: Path, *, without: tuple[str, ...], everything: bool) -> None:
    """A run folder with its finished stages, save those that are to be repeated."""
    target.mkdir()
    shutil.copy2(source / "run.json", target / "run.json")
    if not everything:
        return
    for stage in sorted((source / "stages").iterdir()):
        if stage.name not in without:
            shutil.copytree(stage, target / "stages" / stage.name)


def _check(name: str, same: bool, why: str = "") -> dict[str, str]:
    return {"check": name, "outcome": "same" if same else "different", "why": why}


def _check_files(record: RunRecord) -> list[dict[str, str]]:
    checks = []
    for stage in sorted((record.path / "stages").iterdir()):
        if not (stage / DONE_FILE).exists():
            continue
        wrong = [
            artefact["path"]
            for artefact in read_json(stage / DONE_FILE)["artefacts"]
            if not (stage / artefact["path"]).is_file()
            or file_hash(stage / artefact["path"]) != artefact["sha256"]
        ]
        why = f"changed: {', '.join(wrong)}" if wrong else ""
        checks.append(_check(f"files of {stage.name}", not wrong, why))
    return checks


def _compare_answers(before: Path, again: Path) -> list[dict[str, str]]:
    checks = []
    for name in MEASURED:
        old, new = (read_answers(path / "stages" / name) for path in (before, again))
        changed = [key for key in old if key not in new or old[key].answer != new[key].answer]
        why = f"{len(changed)} of {len(old)} answers differ" if changed else ""
        checks.append(_check(f"answers of {name}", not changed, why))
    return checks


def _compare_numbers(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    before, after = _numbers(old), _numbers(new)
    names = [name for name in before if before[name] != after.get(name)]
    return _check("numbers of result.json", not names, ", ".join(names))


def _numbers(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a rerun must give again: no places and no times."""
    kept = {name: value for name, value in result.items() if name not in VARYING}
    claims = [{k: v for k, v in claim.items() if k != "seconds"} for claim in result["claims"]]
    return kept | {"claims": claims, "verdict": result["page"]["verdict"]}


def _changes(info: Mapping[str, Any]) -> str:
    """What is not as it was when the run was made."""
    now = {
        "code": provenance.code_hash(),
        "host": provenance.host(),
        "versions": provenance.versions(),
    }
    then = {"code": info["code_hash"], "host": info["host"], "versions": info["versions"]}
    changed = [name for name in now if now[name] != then[name]]
    return f"{', '.join(changed)} changed" if changed else "code, host and versions are the same"
