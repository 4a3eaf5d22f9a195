"""Alignment as a whole: references that agree, runs that resume, checkpoints that are measured."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import fresh, ranks, weights

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.prefer import training as training_module
from burnish.prefer.objective import PreferenceObjective
from burnish.prefer.pairs import Pair
from burnish.prefer.reading import PairSet
from burnish.prefer.settings import EvaluateSettings, LossSettings, PairSettings, PreferSettings
from burnish.prefer.training import Aligned, align, logged_differently
from burnish.train.settings import LoraSettings, TrainSettings

SETTINGS = PreferSettings(
    train=TrainSettings(
        lora=LoraSettings(rank=3, dropout=0.2),
        learning_rate=1e-2,
        num_steps=6,
        examples_per_step=4,
        save_every_steps=2,
    ),
    pairs=PairSettings(heldout_frac=0.3),
    evaluate=EvaluateSettings(num_generated=3, max_new_tokens=4, every_steps=3),
)


def found(pairs_of: Any, num: int = 12) -> PairSet:
    lengths = [(1 + 5 * i % 7, 1 + 3 * i % 8) for i in range(num)]
    return PairSet(pairs=tuple(pairs_of(lengths)), end_ids=frozenset({2}))


def aligned(source: Path, folder: Path, pairs: PairSet, settings: Any = SETTINGS) -> Any:
    """The result and the weights of a run."""
    folder.mkdir(exist_ok=True, parents=True)
    model = fresh(source)
    out = align(model, pairs, settings, folder=folder, event=lambda *a, **k: None, meter=Meter("t"))
    return out, weights(model)


class Killed(BaseException):
    """Ends a run anywhere, as a signal would."""


def check_resumed(
    source: Path, place: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Killed at its pass of this number, then let through: nothing tells it from a straight run."""
    wanted, parameters = aligned(source, place / "straight", pairs)
    exact, left = PreferenceObjective.__call__, [at]

    def dying(self: Any, *given: Any, **weight: float) -> torch.Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return exact(self, *given, **weight)

    monkeypatch.setattr(PreferenceObjective, "__call__", dying)
    with pytest.raises(Killed):
        aligned(source, place / "killed", pairs)
    monkeypatch.setattr(PreferenceObjective, "__call__", exact)
    again, resumed = aligned(source, place / "killed", pairs)
    assert again.fitted.losses == wanted.fitted.losses
    assert again.steps == wanted.steps
    assert again.evaluations == wanted.evaluations
    for name, value in parameters.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.parametrize("at", [1, 3, 5])
def test_killed_and_resumed_equals_straight(
    at: int, tiny_folder: Any, tmp_path: Path, pairs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed(tiny_folder(), tmp_path, found(pairs_of), monkeypatch, at)


def test_planted_steps_told_twice(
    tiny_folder: Any, tmp_path: Path, pairs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "last_of_each", list)
    with pytest.raises(AssertionError):
        check_resumed(tiny_folder(), tmp_path, found(pairs_of), monkeypatch, 3)


def test_killed_in_an_evaluation_goes_on(
    tiny_folder: Any, tmp_path: Path, pairs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three evaluations, each killed once: what is in the file is not measured again."""
    pairs, settings = found(pairs_of), replace(SETTINGS, train=replace(SETTINGS.train, num_steps=6))
    wanted, parameters = aligned(tiny_folder(), tmp_path / "straight", pairs, settings)
    exact, asked, killed = training_module.write_answers, [0], [1, 3, 5]

    def dying(*given: Any, **named: Any) -> Any:
        asked[0] += 1
        if asked[0] in killed:
            torch.rand(3)  # an evaluation may draw
            raise Killed
        return exact(*given, **named)

    monkeypatch.setattr(training_module, "write_answers", dying)
    for _ in killed:
        with pytest.raises(Killed):
            aligned(tiny_folder(), tmp_path / "killed", pairs, settings)
    again, resumed = aligned(tiny_folder(), tmp_path / "killed", pairs, settings)
    assert asked == [6]
    assert again.evaluations == wanted.evaluations
    assert again.steps == wanted.steps
    for name, value in parameters.items():
        assert torch.equal(resumed[name], value), name


def check_dtype(source: Path, place: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded in bf16, all weights trained in fp32: answers come from an fp32 cache."""
    exact, seen = training_module.write_answers, []

    def watched(model: Any, *given: Any, **named: Any) -> Any:
        seen.append((model.dtype, {p.dtype for p in model.network.parameters()}))
        return exact(model, *given, **named)

    train = replace(SETTINGS.train, method="full", num_steps=1)
    place.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(training_module, "write_answers", watched)
        align(
            fresh(source, "bf16"), pairs, replace(SETTINGS, train=train), folder=place,
            event=lambda *a, **k: None, meter=Meter("t"),
        )  # fmt: skip
    assert seen == [(dtype, {dtype}) for dtype in (torch.bfloat16, torch.float32)]


def test_evaluations_in_the_weights_dtype(
    tiny_folder: Any, tmp_path: Path, pairs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_dtype(tiny_folder(), tmp_path / "run", found(pairs_of), monkeypatch)


def test_planted_cache_in_the_dtype_on_disk(
    tiny_folder: Any, tmp_path: Path, pairs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fp32 weights with a cache in bf16: the answers may even hold NaN."""
    monkeypatch.setattr(training_module, "as_trained", lambda model: model)
    with pytest.raises((AssertionError, IncompleteError)):
        check_dtype(tiny_folder(), tmp_path / "run", found(pairs_of), monkeypatch)


def test_cached_equals_live_reference(tiny_folder: Any, tmp_path: Path, pairs_of: Any) -> None:
    """Whole runs: adapters off, a frozen copy, the cache."""
    pairs, curves = found(pairs_of), []
    for kind in ("cache", "adapter-off", "copy"):
        out, _ = aligned(tiny_folder(), tmp_path / kind, pairs, replace(SETTINGS, reference=kind))
        curves.append(out.fitted.losses)
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)
    assert curves[0] == pytest.approx(curves[2], rel=1e-4)
    assert curves[0][0] == pytest.approx(0.693147, abs=1e-4)  # ln 2 where both are weighted


def test_what_is_left(tiny_folder: Any, tmp_path: Path, pairs_of: Any) -> None:
    out, _ = aligned(tiny_folder(), tmp_path / "run", found(pairs_of))
    assert isinstance(out, Aligned)
    assert [row["step"] for row in out.steps] == list(range(6))
    wanted = {"loss", "margin", "accuracy", "chosen_tokens", "rejected_tokens",
              "chosen_drift_nats", "rejected_drift_nats", "weight"}  # fmt: skip
    assert wanted <= out.steps[0].keys()
    assert [row["step"] for row in out.evaluations] == [0, 3, 6]
    assert "margins" not in out.evaluations[0]  # they would be zero by construction
    assert out.evaluations[2]["margins"]["num_pairs"] == len(out.heldout) == 4
    assert all(row["generated"]["cap_tokens"] == 4 for row in out.evaluations)
    assert {p.row for p in out.train}.isdisjoint({p.row for p in out.heldout})
    assert out.scores.own is not None
    json.dumps([out.steps, out.evaluations], allow_nan=False)


def test_runs_with_other_losses_find_the_reference(
    tiny_folder: Any, tmp_path: Path, pairs_of: Any
) -> None:
    """The first run asks the reference about the pairs that it sees; the second asks nothing."""
    pairs, scored = found(pairs_of), []
    short = replace(SETTINGS.train, num_steps=1)
    no_text = EvaluateSettings(num_generated=0)
    for number, loss in enumerate((LossSettings(), LossSettings(name="dpo", beta=0.3))):
        settings = replace(SETTINGS, loss=loss, train=short, evaluate=no_text)
        meter, folder = Meter("t"), tmp_path / str(number)
        folder.mkdir()
        out = align(
            fresh(tiny_folder()), pairs, settings, folder=folder,
            event=lambda *a, **k: None, meter=meter,
        )  # fmt: skip
        scored.append(meter.totals()["scored"])
    heldout = sum(pair.num_answer_tokens for pair in out.heldout)
    step = sum(out.steps[0][f"{side}_tokens"] for side in ("chosen", "rejected")) * 4
    assert scored[1] == heldout  # at the end
    assert scored[0] == 2 * heldout + round(step)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_margins_are_learned(
    family: str, method: str, tiny_folder: Any, tmp_path: Path, pairs_of: Any
) -> None:
    train = TrainSettings(
        method=method, learning_rate=1e-2 if method == "lora" else 2e-3, num_steps=20,
        examples_per_step=8, lora=LoraSettings(rank=3),
    )  # fmt: skip
    settings = replace(SETTINGS, train=train, evaluate=EvaluateSettings(num_generated=0))
    out, _ = aligned(tiny_folder(family), tmp_path / "run", found(pairs_of), settings)
    assert out.fitted.losses[0] == pytest.approx(0.693147, abs=1e-3)  # no dropout in between
    assert out.fitted.losses[-1] < 0.6 * out.fitted.losses[0]


# --- other processes ----------------------------------------------------------------------------


def main(source: str, folder: str) -> None:
    """One of several processes, each with a folder of its own."""
    from prefer_pairs import PAIRS

    pairs = PairSet(pairs=tuple(Pair(**one) for one in PAIRS), end_ids=frozenset({2}))
    settings = replace(SETTINGS, train=replace(SETTINGS.train, lora=LoraSettings(rank=3),
                                               pass_tokens=40, learning_rate=1e-3))  # fmt: skip
    out, parameters = aligned(Path(source), Path(folder), pairs, settings)
    steps = [dict(row) for row in out.steps]
    torch.save({"losses": out.fitted.losses, "weights": parameters, "steps": steps},
               Path(folder) / "result.pt")  # fmt: skip


@pytest.mark.slow
def test_two_processes_equal_one(tiny_folder: Any, tmp_path: Path, pairs_of: Any) -> None:
    """Pairs come whole to either process; gradients and notes are summed."""
    rows = [vars(pair) for pair in found(pairs_of).pairs]
    (tmp_path / "prefer_pairs.py").write_text(f"PAIRS = {rows!r}\n")
    runs = {"alone": {}} | {f"rank{one['RANK']}": one for one in ranks(2)}
    program = "import sys; from test_training import main; main(*sys.argv[1:])"
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parent), *filter(None, sys.path)])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tiny_folder()), str(tmp_path / name)],
            env=os.environ | extra | {"PYTHONPATH": path, "BURNISH_CACHE": str(tmp_path / name)},
        )
        for name, extra in runs.items()
    ]  # fmt: skip
    assert [process.wait(280) for process in processes] == [0, 0, 0]
    alone, *both = [torch.load(tmp_path / n / "result.pt", weights_only=True) for n in runs]
    for one in both:
        assert one["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        for name, value in alone["weights"].items():
            torch.testing.assert_close(one["weights"][name], value, atol=1e-5, rtol=1e-4)
    for step, other in zip(both[0]["steps"], alone["steps"], strict=True):
        assert step == pytest.approx(other, rel=1e-4, abs=1e-4)  # by the first process only


def told_of(out: Aligned) -> dict[str, Any]:
    return {
        "steps": list(out.steps),
        "evaluations": list(out.evaluations),
        "margins": out.evaluations[-1]["margins"],
    }


def test_told_numbers_are_the_logged_ones(tiny_folder: Any, pairs_of: Any, tmp_path: Path) -> None:
    out, _ = aligned(tiny_folder(), tmp_path / "run", found(pairs_of))
    told = json.loads(json.dumps(told_of(out)))
    assert logged_differently(tmp_path / "run", told) == ""
    better = {**told["margins"], "num_pairs": 1000}
    assert logged_differently(tmp_path / "run", {**told, "margins": better}) == "margins"
    assert logged_differently(tmp_path / "run", {**told, "steps": told["steps"][:-1]}) == "steps"
    assert logged_differently(tmp_path / "run", {**told, "evaluations": []}) == "evaluations"
