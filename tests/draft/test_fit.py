"""Training: the loss by its definition, exact resumption, a backbone that stays as it was."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits, texts

from burnish.base.errors import IncompleteError, SettingError
from burnish.base.records import content_hash
from burnish.draft import fit as fit_module
from burnish.draft.distil import Text
from burnish.draft.fit import FitSettings, MapsModule, distillation_loss, fit_maps, start_maps
from burnish.draft.guesses import Places, firp_states
from burnish.draft.streams import Streams, collect_streams
from burnish.draft.vocabulary import head_rows
from burnish.train.hooks import Hook

SETTINGS = FitSettings(entries=(1, 2), epochs=2, texts_per_step=2, anchors_per_text=5)
VOCABULARY = torch.arange(3, 120)


@pytest.fixture
def streams(tiny_model: Any) -> Streams:
    parts = texts([9, 7, 4, 12, 20, 9, 3, 8, 5, 6], seed=4)
    some = [
        Text(id=str(i), prompt=tuple(prompt), answer=tuple(answer))
        for i, (prompt, answer) in enumerate(zip(parts[::2], parts[1::2], strict=True))
    ]
    return collect_streams(tiny_model("llama"), some, [1, 2])


@pytest.fixture
def head(tiny_model: Any) -> Any:
    return head_rows(tiny_model("llama").network, VOCABULARY, torch.float32)


def check_loss(model: Any, streams: Streams, head: Any) -> None:
    """Each term written out: real logits by a plain forward, row by row."""
    maps = start_maps(model.network, streams, range(5), SETTINGS)
    places = Places(texts=[1, 3], rows=[torch.tensor(list(streams.anchors(i))) for i in (1, 3)])
    found = distillation_loss(model.network, head, maps, streams, places, SETTINGS)
    from burnish.contracts.drafter import Riders

    riders = Riders(entries=(1, 2), weight=maps.weight.data, bias=maps.bias.data, passes="two")
    states = firp_states(model.network, riders, streams, places)
    total = mass = 0.0
    at = 0
    for index in places.texts:
        text = streams.texts[index]
        tokens = [*text.prompt, *text.answer]
        (real,) = packed_logits(model.network, [tokens])
        for row in streams.anchors(index):
            anchor = row - streams.begins[index]
            for offset in (1, 2):
                if anchor + offset >= len(tokens):
                    continue
                p = real[anchor + offset][VOCABULARY].softmax(-1)
                q = (states[offset - 1, at] @ head.T).softmax(-1)
                weight = 0.8 ** (offset - 1)
                total += weight * float((p * (p.log() - q.log())).sum())
                mass += weight
            at += 1
    assert found.item() == pytest.approx(total / mass, rel=1e-4)


def test_loss_equals_the_definition(tiny_model: Any, streams: Streams, head: Any) -> None:
    check_loss(tiny_model("llama"), streams, head)


def test_planted_teacher_one_token_late(
    tiny_model: Any, streams: Streams, head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = fit_module.firp_states

    def late(decoder: Any, riders: Any, rows: Streams, places: Places) -> Any:
        places = Places(texts=places.texts, rows=[at - 1 for at in places.rows])
        return exact(decoder, riders, rows, places)

    monkeypatch.setattr(fit_module, "firp_states", late)
    with pytest.raises(AssertionError):
        check_loss(tiny_model("llama"), streams, head)


@pytest.mark.parametrize("kind", ["firp", "medusa"])
def test_gradient_equals_differences(
    kind: str, tiny_model: Any, streams: Streams, head: Any
) -> None:
    """The loss's gradient along random directions, by central differences."""
    model = tiny_model("llama")
    settings = FitSettings(kind=kind, entries=(1, 2))  # type: ignore[arg-type]
    maps = start_maps(model.network, streams, range(5), settings)
    places = Places(texts=[3], rows=[torch.tensor(list(streams.anchors(3)))])

    def loss(weight: Any) -> Any:
        moved = MapsModule(weight, maps.bias.data)
        return distillation_loss(model.network, head, moved, streams, places, settings), moved

    value, moved = loss(maps.weight.data)
    value.backward()
    for seed in range(3):
        source = torch.Generator().manual_seed(seed)
        way = torch.randn(maps.weight.shape, generator=source) * 0.1
        step = 1e-2
        ends = [loss(maps.weight.data + s * way)[0].item() for s in (step, -step)]
        wanted = (ends[0] - ends[1]) / (2 * step)
        assert (moved.weight.grad * way).sum().item() == pytest.approx(wanted, rel=3e-2, abs=2e-3)


def fitted(model: Any, streams: Streams, head: Any, folder: Path, **settings: Any) -> MapsModule:
    folder.mkdir(exist_ok=True)
    given = {**vars(SETTINGS), **settings}
    return fit_maps(model.network, head, streams, range(5), FitSettings(**given), folder=folder)


def test_resumed_equals_straight(
    tiny_model: Any, streams: Streams, head: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    straight = fitted(model, streams, head, tmp_path / "a")
    monkeypatch.setattr(fit_module, "SAVE_EVERY_STEPS", 2)
    exact, calls = fit_module.distillation_loss, []

    def dies(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return exact(*args)

    monkeypatch.setattr(fit_module, "distillation_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, streams, head, tmp_path / "b")
    resumed = fitted(model, streams, head, tmp_path / "b")
    assert torch.equal(straight.weight, resumed.weight)
    assert torch.equal(straight.bias, resumed.bias)
    assert len(calls) == 4 + 6 - 2  # steps 0-3, then from the checkpoint after the second


class Losses(Hook):
    def __init__(self, kept: list[float]) -> None:
        self.kept = kept

    def step(self, told: Any, batch: Any) -> None:
        self.kept.append(told["loss"])


def test_only_the_maps_learn(tiny_model: Any, streams: Streams, head: Any, tmp_path: Path) -> None:
    model = tiny_model("llama")

    def weights() -> str:
        return content_hash({n: p.tolist() for n, p in model.network.state_dict().items()})

    before = weights()
    losses: list[float] = []
    given = {**vars(SETTINGS), "epochs": 30, "start": "zero"}
    fit_maps(
        model.network, head, streams, range(5), FitSettings(**given), folder=tmp_path,
        hooks=[Losses(losses)],
    )  # fmt: skip
    assert sum(losses[-9:]) < 0.8 * sum(losses[:9])
    assert weights() == before
    assert not any(p.requires_grad for p in model.network.parameters())


def test_ridge_start_predicts_the_stream(tiny_model: Any, streams: Streams) -> None:
    """On its own rows the start's squared error is below that of the mean."""
    maps = start_maps(tiny_model("llama").network, streams, range(5), SETTINGS)
    rows = torch.cat([torch.tensor(list(streams.anchors(i))) for i in range(5)])
    here, there = streams.layers[1][rows], streams.layers[1][rows + 1]
    guess = here @ maps.weight[0].T + maps.bias[0]
    error = (guess - there).square().mean()
    assert error < 0.7 * there.var(0, correction=0).mean()


def test_refusals(
    tiny_model: Any, streams: Streams, head: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingError, match="entries must be layers from 1 on, in rising order"):
        FitSettings(entries=(3, 2))
    with pytest.raises(SettingError, match="epochs must not be negative"):
        FitSettings(epochs=-1)
    monkeypatch.setattr(
        fit_module, "distillation_loss", lambda *args: args[2].weight.sum() * math.nan
    )
    with pytest.raises(IncompleteError, match="draft loss must stay finite"):
        fitted(tiny_model("llama"), streams, head, tmp_path)
