"""The steps of `burnish improve`: one file each, found by name, listed by the settings.

`improve_steps` are the parts of the whole job, in the order of `ImproveSettings.steps`;
`round_steps` are the parts of each round, in the order of `ImproveSettings.round_steps`. A class
with `configured` (or `in_round`) takes its fields from the settings; any other registered step is
built from its spec, `name:field=value`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from burnish.base.registry import Registry
from burnish.jobs.step import Part, Step
from burnish.recipes.settings import ImproveSettings

if TYPE_CHECKING:
    from burnish.recipes.steps.rounds import Roles


class RoundPart(Protocol):
    """A part of each round."""

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: "Roles") -> Sequence[Step]:
        """Its steps in the next round; sets in `roles` which values they provide."""
        ...


improve_steps: Registry[Part] = Registry("improve step", "burnish.recipes.steps")
round_steps: Registry[RoundPart] = Registry("round step", "burnish.recipes.steps")


def parts_of(settings: ImproveSettings) -> list[Part]:
    """The parts of the job, in order.

    Raises UnknownNameError for a step that does not exist; SettingError for a wrong spec.
    """
    for name in settings.round_steps:
        round_steps.get(name)
    return [_part(spec, settings) for spec in settings.steps]


def _part(spec: str, settings: ImproveSettings) -> Part:
    cls = improve_steps.get(spec.partition(":")[0])
    configured = getattr(cls, "configured", None)
    return improve_steps.parse(spec) if configured is None else configured(settings)
