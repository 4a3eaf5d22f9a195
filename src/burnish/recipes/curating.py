"""Where curation meets the sandbox: leaks and quality with programs that run."""

from typing import Any

from burnish.curate.leakage_job import find_leakage, leakage_job
from burnish.curate.score_job import score_job, score_pool
from burnish.curate.settings import LeakageSettings, ScoreSettings
from burnish.jobs.job import Job, Place
from burnish.sandbox.executor import SandboxExecutor


def leakage_with_sandbox(settings: LeakageSettings, place: Place | None = None) -> dict[str, Any]:
    """`find_leakage`, with the sandbox running what samples hold.

    Source: ours. Oracle: tests/recipes/test_curating.py::test_cases_of_leaks
    """
    return find_leakage(settings, sandbox(settings.isolation, settings.wall_s), place)


def sandboxed_leakage_job(settings: LeakageSettings) -> Job:
    """The job of `leakage_with_sandbox`."""
    return leakage_job(settings, sandbox(settings.isolation, settings.wall_s))


def sandbox(isolation: str, wall_s: float) -> SandboxExecutor:
    """The executor of the settings."""
    return SandboxExecutor(isolation=isolation, wall_s=wall_s)


def score_with_sandbox(settings: ScoreSettings, place: Place | None = None) -> dict[str, Any]:
    """`score_pool`, with the sandbox running answers on tests from their own rows.

    Source: ours. Oracle: tests/recipes/test_curating.py::test_quality_by_the_sandbox
    """
    return score_pool(settings, sandbox(settings.isolation, settings.wall_s), place)


def sandboxed_score_job(settings: ScoreSettings) -> Job:
    """The job of `score_with_sandbox`."""
    return score_job(settings, sandbox(settings.isolation, settings.wall_s))
