"""The objective on the one loop: means over pairs, whatever the passes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import fresh, train, weights

from burnish.base.errors import InputError
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, dpo, ld_dpo, simpo
from burnish.prefer.objective import PreferenceObjective
from burnish.prefer.pairs import Pair, all_lengths
from burnish.prefer.reference import FrozenCopy, ReferenceCache
from burnish.train.settings import LoraSettings, TrainSettings

SETTINGS = TrainSettings(
    lora=LoraSettings(rank=3, alpha=7.0),
    learning_rate=3e-3,
    epochs=2,
    examples_per_step=3,
    pass_tokens=60,
    max_grad_norm=1e9,
)


def run(source: Path, folder: Path, pairs: Sequence[Pair], **changed: Any) -> Any:
    """Losses, weights and events of a run; with `objective`, of another one."""
    folder.mkdir(parents=True)
    model = fresh(source)
    model.network.unfuse()
    wrapped = changed.pop("objective", lambda one: one)
    loss = changed.pop("loss", ld_dpo)
    objective = PreferenceObjective(loss, FrozenCopy(model.network))
    told: list[dict[str, Any]] = []
    fitted = train(
        model, folder, replace(SETTINGS, **changed), examples=pairs,
        objective=wrapped(objective), event=lambda kind, **named: told.append(objective.drain()),
    )  # fmt: skip
    return fitted.losses, weights(model), told


def check_passes(source: Path, place: Path, pairs: Sequence[Pair], **changed: Any) -> None:
    """A pair a pass, or all of a step at once: the same losses, weights and notes."""
    losses, split, told = run(source, place / "split", pairs, pass_tokens=30, **changed)
    wanted, whole, noted = run(source, place / "whole", pairs, pass_tokens=900, **changed)
    assert losses == pytest.approx(wanted, rel=1e-5)
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value, atol=1e-5, rtol=1e-4)
    for one, other in zip(told, noted, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_step_is_the_mean_over_pairs(
    method: str, tiny_folder: Any, tmp_path: Path, pairs: Any
) -> None:
    check_passes(tiny_folder(), tmp_path, pairs, method=method, learning_rate=1e-4)


def test_planted_mean_over_each_pass(tiny_folder: Any, tmp_path: Path, pairs: Any) -> None:
    def mean(objective: PreferenceObjective) -> Any:
        return lambda network, some, weight: objective(network, some, weight=weight) / len(some)

    with pytest.raises(AssertionError):
        check_passes(tiny_folder(), tmp_path, pairs, objective=mean)


def test_what_a_step_notes(tiny_model: Any, tmp_path: Path, pairs: Any) -> None:
    """Against the loss called by hand; an empty answer from nobody."""
    network = tiny_model().network
    cache = ReferenceCache(tmp_path, network)
    cache.fill(network, pairs)
    moved = fresh(tiny_model().folder).network
    moved.unfuse()
    with torch.no_grad():
        moved.model.norm.weight.mul_(0.9)
        policy, known = answer_logprobs(moved, pairs), cache(moved, pairs)
        objective = PreferenceObjective(dpo, cache)
        total = objective(moved, pairs[:2]) + objective(moved, pairs[2:])
    batch = Batch(policy=policy, reference=known, lengths=all_lengths(pairs))
    wanted = dpo(batch)
    assert float(total) == pytest.approx(float(wanted.losses.sum()), rel=1e-5)
    told = objective.drain()
    assert told["margin"] == pytest.approx(float(wanted.margins.mean()), rel=1e-4)
    assert told["accuracy"] == pytest.approx(float((wanted.margins > 0).double().mean()))
    assert told["weight"] == pytest.approx(float(torch.sigmoid(-wanted.margins).mean()), rel=1e-4)
    sizes = [sum(p.lengths[side] for p in pairs) / 5 for side in (0, 1)]
    assert [told["chosen_tokens"], told["rejected_tokens"]] == pytest.approx(sizes)
    assert told["excess_tokens"] == pytest.approx(sizes[0] - sizes[1])
    chosen = [
        side for i, side in enumerate((policy - known).split([n for p in pairs for n in p.lengths]))
        if i % 2 == 0
    ]  # fmt: skip
    drift = sum(float(side.sum()) for side in chosen) / 5
    assert told["chosen_drift_nats"] == pytest.approx(drift, rel=1e-4)


def test_a_loss_without_reference_has_no_drift(tiny_model: Any, pairs: Any) -> None:
    objective = PreferenceObjective(simpo, None)
    with torch.no_grad():
        objective(tiny_model().network, pairs)
    assert "chosen_drift_nats" not in objective.drain()


def test_margins_grow(tiny_folder: Any, tmp_path: Path, pairs: Any) -> None:
    losses, _, told = run(
        tiny_folder(), tmp_path / "run", pairs, num_steps=30, examples_per_step=5, loss=dpo
    )
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert losses[-1] < 0.3
    assert told[-1]["margin"] > told[0]["margin"] + 1.0
    assert told[-1]["accuracy"] == 1.0


def test_a_pair_longer_than_a_pass_is_refused(tiny_folder: Any, tmp_path: Path, pairs: Any) -> None:
    with pytest.raises(InputError, match="between 1 and 10 tokens"):
        run(tiny_folder(), tmp_path / "run", pairs, pass_tokens=10)
