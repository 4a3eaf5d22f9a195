"""Memory while a model is trained: a curve every so many steps, through the loop's events."""

from collections.abc import Callable
from typing import Any

import torch

from burnish.models.load import Model
from burnish.recall.curve import make_curve
from burnish.recall.material import Material
from burnish.recall.measure import Row, measure_rows
from burnish.recall.readers import open_reader
from burnish.recall.settings import RecallSettings

Event = Callable[..., None]
KEPT = ("fine_tokens", "coarse_tokens", "state")


class MemoryWatch:
    """An `event` for `burnish.train.loop.fit` that measures after every `every_steps` steps.

    It hands all events on, and adds one of kind `memory` with both lengths, the state, and mean
    copy and language-model accuracy. Training goes on as if nothing had happened: weights, modes
    and random states are as before.
    Source: ours. Oracle: tests/recall/test_watch.py::test_training_is_not_disturbed
    """

    def __init__(
        self,
        model: Model,
        material: Material,
        settings: RecallSettings,
        *,
        event: Event,
        every_steps: int = 100,
    ) -> None:
        self._model, self._material, self._settings = model, material, settings
        self._event, self._every_steps = event, every_steps
        self.curves: list[tuple[int, dict[str, Any]]] = []

    def __call__(self, kind: str, /, **fields: Any) -> None:
        """Hand an event on; after a step whose turn it is, measure."""
        self._event(kind, **fields)
        if kind == "train_step" and (fields["step"] + 1) % self._every_steps == 0:
            curve = self.measure()
            self.curves.append((fields["step"], curve))
            points = [point for point in curve["points"] if point["copy"] is not None]
            means = {
                f"mean_{side}": sum(p[side]["value"] for p in points) / len(points)
                for side in ("copy", "lm")
            }
            told = {name: curve[name] for name in KEPT}
            self._event("memory", step=fields["step"], **told, **means)

    def measure(self) -> dict[str, Any]:
        """The curve of the model as it is now."""
        return curve_in_place(self._model, self._material, self._settings)


def curve_in_place(model: Model, material: Material, settings: RecallSettings) -> dict[str, Any]:
    """The curve of a model in memory, with no run and nothing written."""
    rows: list[Row] = []
    training = model.network.training
    state = torch.get_rng_state()
    model.network.eval()
    try:
        reader = open_reader(model, kv=settings.kv, chunk_rows=settings.chunk_rows)
        measure_rows(reader, material, settings, trials=range(settings.trials), keep=rows.append)
    finally:
        model.network.train(training)
        torch.set_rng_state(state)
    return make_curve(rows, settings)
