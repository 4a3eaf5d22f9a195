"""Memory while a model is trained: a curve every so many steps, as a hook of the training loop."""

from collections.abc import Callable
from typing import Any

from burnish.models.load import Model
from burnish.recall.material import Material
from burnish.recall.measure import Row, measure_rows
from burnish.recall.points import make_curve
from burnish.recall.readers import open_reader
from burnish.recall.settings import RecallSettings
from burnish.train.evaluation import undisturbed
from burnish.train.fit import as_trained
from burnish.train.hooks import Hook, TrainingProgress

Event = Callable[..., None]
KEPT = ("fine_tokens", "coarse_tokens", "state")


class MemoryWatch(Hook):
    """Measures after every `every_steps` steps and tells an event of kind `memory`.

    It has both lengths, the state, and mean copy and language-model accuracy; `step` is the index
    of the last step. Training goes on as if nothing had happened: weights, modes and random states
    are as before.
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

    def evaluate(self, progress: TrainingProgress) -> None:
        """Measure if this step is due."""
        if progress.step and progress.step % self._every_steps == 0:
            step = progress.step - 1
            curve = self.measure()
            self.curves.append((step, curve))
            points = [point for point in curve["points"] if point["copy"] is not None]
            means = {
                f"mean_{side}": sum(p[side]["value"] for p in points) / len(points)
                for side in ("copy", "lm")
            }
            told = {name: curve[name] for name in KEPT}
            self._event("memory", step=step, **told, **means)

    def measure(self) -> dict[str, Any]:
        """The model's current curve."""
        return curve_in_place(self._model, self._material, self._settings)


def curve_in_place(model: Model, material: Material, settings: RecallSettings) -> dict[str, Any]:
    """The curve of a model in memory, without a run folder."""
    rows: list[Row] = []
    with undisturbed(model.network):
        reader = open_reader(as_trained(model), kv=settings.kv, chunk_rows=settings.chunk_rows)
        measure_rows(reader, material, settings, trials=range(settings.trials), keep=rows.append)
    return make_curve(rows, settings)
