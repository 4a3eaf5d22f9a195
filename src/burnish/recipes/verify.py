"""Run a claim again from its manifest: same or different, and why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.base import provenance
from burnish.base.runs import load_run
from burnish.jobs.verify import differing, verify_job
from burnish.recipes.kinds import job_of


def verify_run(path: Path, *, full: bool = False) -> dict[str, Any]:
    """Check a run of any kind against its files, its steps made again and its result.

    With `full`, every step is made again, training included. It happens in a temporary folder;
    the run itself is not changed. Raises MissingFileError for a run that has no result yet.
    Source: ours. Oracle: tests/recipes/test_verify.py::test_a_changed_answer_is_found
    """
    record = load_run(path)
    _ = record.result  # raises where there is none
    checks = verify_job(record, job_of(record.info), full=full)
    same = not differing(checks)
    why = "" if same else f" Since then: {_changes(record.info)}."
    return {
        "run": str(record.path),
        "same": same,
        "checks": checks,
        "sentence": ("Same: the run's claims were reproduced." if same else "Different.") + why,
    }


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
