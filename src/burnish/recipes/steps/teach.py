"""`teach`: fine-tune a copy of the base model on the selected answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.meter import Meter
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Cost
from burnish.jobs.step import Given, Step
from burnish.models.handle import ModelHandle
from burnish.recipes.settings import ImproveSettings, TrainSettings
from burnish.recipes.steps import round_steps
from burnish.recipes.steps.measure import text_tokens
from burnish.recipes.steps.rounds import Roles
from burnish.recipes.teaching import teach


@dataclass(frozen=True, kw_only=True)
class TrainedStep(Step):
    """A step that trains, on all processes of a team, and leaves `model/`."""

    name: str
    precision: str
    together = True

    @property
    def writes(self) -> Mapping[str, str]:
        """The trained model, and the curve of its loss."""
        return {self.name: "model", f"{self.name}-losses": ""}

    def key_of(self, name: str, done: StageResult) -> str:
        """Of the model the hash of its files, of the losses that of their stage."""
        return done.key if name.endswith("-losses") else super().key_of(name, done)

    def open(self, name: str, done: StageResult, given: Given) -> Any:
        """The trained model, not loaded yet; or the losses."""
        return done.output["losses"] if name.endswith("-losses") else self.model(done, given)

    def model(self, done: StageResult, given: Given) -> ModelHandle:
        """The trained model, on the device of the one it came from."""
        device = given[self.reads[0]].device
        return ModelHandle(str(Path(done.path) / "model"), precision=self.precision, device=device)


@round_steps.register("teach")
@dataclass(frozen=True, kw_only=True)
class TeachStep(TrainedStep):
    """Supervised fine-tuning; every round starts from the base model.

    Source: STaR, arXiv 2203.14465, section 3.1.
    Oracle: tests/recipes/test_teaching.py::test_merged_equals_adapted
    """

    selected: str
    train: TrainSettings

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: Roles) -> Sequence[Step]:
        """The step of a round."""
        roles.trained = f"teach-{roles.number}"
        roles.learned = (roles.selected,)
        roles.losses = f"{roles.trained}-losses"
        return (
            cls(
                name=roles.trained,
                selected=roles.selected,
                train=settings.train,
                precision=settings.precision,
            ),
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The base model and what is learned from."""
        return ("base", self.selected)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """Tokens of all epochs; weights, gradients and moments in fp32 where all are trained."""
        length, params = text_tokens(num_items), num_items["params"]
        width = 4 if self.train.method == "full" else 2
        return Cost(
            trained_tokens=num_items[self.selected] * length * self.train.epochs,
            memory_bytes=int(params * (width * (4 if width == 4 else 2)) + 2e9),
            disk_bytes=params * 4,
        )

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train, and save the model. Raises IncompleteError where nothing was selected."""
        return teach(stage, given["base"], given[self.selected], self.train, meter)
