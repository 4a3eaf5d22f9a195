"""How long an analysis may take in all, whatever number of tools and runs it has."""

import dataclasses
import math
import time
from dataclasses import dataclass

from burnish.base.errors import SettingError
from burnish.sandbox.job import Limits

LEAST_S = 0.05  # with less left than this nothing more is begun


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """The moment, by the monotonic clock, at which an analysis must be over."""

    at_s: float = math.inf

    @property
    def left_s(self) -> float:
        """Seconds until then; never negative."""
        return max(self.at_s - time.monotonic(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether nothing more may be begun."""
        return self.left_s < LEAST_S

    def bounded(self, limits: Limits) -> Limits:
        """The limits, with no more time than is left.

        Time in which a job waits for a processor is not its own (`Limits.wall_s`), so on a loaded
        machine a job that has begun may end later, by what the load takes from it.
        """
        left_s = max(self.left_s, LEAST_S)
        return dataclasses.replace(
            limits, cpu_s=min(limits.cpu_s, left_s), wall_s=min(limits.wall_s, left_s)
        )


NO_DEADLINE = Deadline()


def in_seconds(deadline_s: float | None) -> Deadline:
    """The deadline that many seconds from now; None: there is none. Raises: SettingError."""
    if deadline_s is None:
        return NO_DEADLINE
    if not deadline_s > 0:
        remedy = "Name some seconds, or None for as long as the limits allow"
        raise SettingError("deadline_s", deadline_s, "must be positive", remedy=remedy)
    return Deadline(at_s=time.monotonic() + deadline_s)
