"""Align a model with pairs on the training loop, and measure it before, during and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from burnish.base.files import cache_folder
from burnish.base.log import RecordLog
from burnish.base.meter import Meter
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.prefer.lengths import write_answers
from burnish.prefer.measure import Scores, measure_margins, score_pairs
from burnish.prefer.objective import PreferenceObjective
from burnish.prefer.pairs import Pair
from burnish.prefer.reading import PairSet, split_pairs
from burnish.prefer.reference import FrozenCopy, Reference, ReferenceCache, adapter_off
from burnish.prefer.settings import PreferSettings
from burnish.train.evaluation import Evaluation, undisturbed
from burnish.train.examples import plan_steps
from burnish.train.fit import Fitted, as_trained, fit
from burnish.train.hooks import Event, Hook, StepLog, Tell, last_of_each
from burnish.train.settings import TrainSettings

STEPS, EVALUATIONS = "steps.jsonl", "evaluations.jsonl"


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """The result of an alignment: the network in place, numbers by step, evaluations by step.

    `steps` hold what the loop and the objective told, one mapping a step; `evaluations` what
    was measured on the held-out pairs, the first before any step; `scores` are those of the end.
    Of several processes, the first alone has `steps` and `evaluations`.
    """

    fitted: Fitted
    steps: Sequence[Mapping[str, Any]]
    evaluations: Sequence[Mapping[str, Any]]
    scores: Scores
    train: Sequence[Pair]
    heldout: Sequence[Pair]
    reference: Reference


def align(
    model: Model,
    found: PairSet,
    settings: PreferSettings,
    *,
    folder: Path,
    event: Event,
    meter: Meter,
) -> Aligned:
    """Train `model` in place; repeated on the same folder, it resumes exactly.

    The reference is the model as it is given. Its log-probabilities are kept in the cache of this
    machine, so runs with other losses and settings find them. Raises what `fit`, `split_pairs` and
    `ReferenceCache.fill` raise.
    Source: ours. Oracle: tests/prefer/test_training.py::test_killed_and_resumed_equals_straight
    """
    train, heldout = split_pairs(
        found.pairs, heldout_frac=settings.pairs.heldout_frac, seed=settings.train.seed
    )
    trains = _room_for(settings.train, train)
    _make_alike(model.network)
    cache = ReferenceCache(cache_folder() / "preferences", model.network)
    live = _live_reference(settings, model)
    seen = [] if live or not settings.loss.needs_reference else _seen(train, trains)
    cache.fill(model.network, [*seen, *heldout], pass_tokens=trains.pass_tokens, meter=meter)
    loss = settings.loss.build()
    reference = (live or cache) if settings.loss.needs_reference else None
    objective = PreferenceObjective(loss, reference, device=model.device)
    examiner = _Examiner(model, heldout, settings, cache=cache, meter=meter)
    every, log = settings.evaluate.every_steps, folder / EVALUATIONS
    evaluation = Evaluation(model.network, examiner.measure, path=log, every_steps=every)
    evaluation.at(0)  # of the model as it is given, without adapters
    with RecordLog(folder / STEPS) as log:
        hooks = [_Notes(objective), StepLog(log), evaluation, Tell(event)]
        fitted = fit(
            model, train, trains, folder=folder, hooks=hooks, meter=meter, objective=objective
        )
    model.network.eval()
    return Aligned(
        fitted=fitted,
        steps=last_of_each(RecordLog(folder / STEPS).peek()),
        evaluations=evaluation.rows(),
        scores=examiner.last or examiner.scores(),
        train=train,
        heldout=heldout,
        reference=cache,
    )


def _room_for(settings: TrainSettings, pairs: Sequence[Pair]) -> TrainSettings:
    longest = max(map(len, pairs))
    return replace(settings, pass_tokens=max(settings.pass_tokens, longest))


def _seen(pairs: Sequence[Pair], settings: TrainSettings) -> list[Pair]:
    """The pairs that the steps will take: fewer than all, where a number of steps was asked for."""
    steps = plan_steps(pairs, settings)
    return [pairs[i] for i in sorted({i for step in steps for one in step for i in one})]


def _make_alike(network: Decoder | Adapter) -> None:
    """Let policy and reference differ by what is learned only: the same kernels, no dropout.

    Dropout of adapters, which is asked for in the settings, is attached later, and stays.
    """
    if isinstance(network, Decoder):
        network.unfuse()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def _live_reference(settings: PreferSettings, model: Model) -> Reference | None:
    """What is computed anew in each pass; None: the cache."""
    if settings.reference == "adapter-off":
        return adapter_off
    if settings.reference == "copy":
        return FrozenCopy(model.network)
    return None


def logged_differently(folder: Path, told: Mapping[str, Any]) -> str:
    """Which number of `told` differs from the logs of the alignment in `folder`; "" if none does.

    Source: ours. Oracle: tests/prefer/test_training.py::test_told_numbers_are_the_logged_ones
    """
    logs = {"steps": STEPS, "evaluations": EVALUATIONS}
    found = {name: last_of_each(RecordLog(folder / file).peek()) for name, file in logs.items()}
    wrong = [name for name in logs if list(told[name]) != found[name]]
    last = found["evaluations"][-1] if found["evaluations"] else {}
    if told["margins"] != last.get("margins"):
        wrong.append("margins")
    return ", ".join(wrong)


class _Examiner:
    """Measures the model on held-out pairs, as it is when it is asked."""

    def __init__(
        self,
        model: Model,
        heldout: Sequence[Pair],
        settings: PreferSettings,
        *,
        cache: ReferenceCache,
        meter: Meter,
    ) -> None:
        self._model, self._heldout, self._settings = model, heldout, settings
        self._cache, self._meter = cache, meter
        self.last: Scores | None = None

    def scores(self) -> Scores:
        """Margins of the held-out pairs."""
        with undisturbed(self._model.network):
            return score_pairs(
                self._model.network,
                self._heldout,
                reference=self._cache,
                loss=self._settings.loss.build(),
                meter=self._meter,
            )

    def measure(self, step: int) -> dict[str, Any]:
        """Generated lengths and, but for before the first step, margins."""
        told = self._settings.evaluate
        written = write_answers(
            as_trained(self._model),
            self._heldout,
            num_prompts=told.num_generated,
            max_new_tokens=told.max_new_tokens,
            meter=self._meter,
        )
        row: dict[str, Any] = {"generated": written and written.to_dict()}
        if step:  # before the first, policy and reference are the same: every margin is zero
            self.last = self.scores()
            row["margins"] = measure_margins(self.last).to_dict()
        return row


class _Notes(Hook):
    """Adds what the objective noted of a step to its numbers."""

    def __init__(self, objective: PreferenceObjective) -> None:
        self._objective = objective

    def numbers(self) -> Mapping[str, Any]:
        """Means over the step's pairs."""
        return self._objective.drain()
