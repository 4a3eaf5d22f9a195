"""One finished run."""

from fixtures.improving import finished, quick_plan, settings  # noqa: F401
