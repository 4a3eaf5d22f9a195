"""Settings that could only fail later are refused at once."""

from typing import Any

import pytest

from burnish.base.canonical import content_hash
from burnish.base.errors import SettingError
from burnish.recipes.critic_settings import CriticLoopSettings, CriticTrainSettings
from burnish.recipes.settings import (
    PRESETS,
    ImproveSettings,
    MeasureSettings,
    SampleSettings,
    SelectSettings,
    SplitSettings,
)
from burnish.recipes.tour_settings import TourSettings


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (SplitSettings, "train", 0),
        (SplitSettings, "dev", 0),
        (SplitSettings, "heldout", 1),
        (SampleSettings, "num_samples", 0),
        (SampleSettings, "num_extra", -1),
        (SampleSettings, "temperature", -0.1),
        (SampleSettings, "top_p", 1.5),
        (SampleSettings, "max_new_tokens", 0),
        (SelectSettings, "max_per_task", 0),
        (MeasureSettings, "max_new_tokens", 0),
        (MeasureSettings, "margin_accuracy", -0.1),
        (MeasureSettings, "margin_length_frac", -0.1),
        (MeasureSettings, "num_demonstrations", -1),
        (MeasureSettings, "max_votes", 0),
        (ImproveSettings, "rounds", 0),
        (ImproveSettings, "batch_size", 0),
    ],
)
def test_wrong_values(kind: Any, name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"^{name} must "):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        (PRESETS["quick"], "be2dff74a004"),
        (PRESETS["laptop"], "bbf5cf4739f7"),
        (PRESETS["workstation"], "d88dc1b978e4"),
        (PRESETS["cluster"], "7b7f86e70fe2"),
        (ImproveSettings, "adbafcdb9b60"),
        (TourSettings, "920679937291"),
        (CriticTrainSettings, "d6ab5496eb35"),
        (CriticLoopSettings, "b22a54f1213d"),
    ],
)
def test_defaults_change_on_purpose_only(settings: Any, digest: str) -> None:
    """Published numbers name a preset: a new value is a line in the changelog, then one here."""
    assert content_hash(settings())[:12] == digest


def test_presets_grow_with_the_machine():
    """What a preset costs is changed on purpose only."""
    found = {name: preset() for name, preset in PRESETS.items()}
    assert {n: (p.split.train, p.split.dev, p.split.heldout) for n, p in found.items()} == {
        "quick": (240, 40, 120),
        "laptop": (260, 50, 200),
        "workstation": (3000, 300, 600),
        "cluster": (3000, 300, 600),
    }
    sizes = {
        n: (p.rounds, p.sample.num_samples, p.sample.num_extra, p.batch_size)
        for n, p in found.items()
    }
    assert sizes == {
        "quick": (1, 2, 0, 128),
        "laptop": (2, 2, 1, 128),
        "workstation": (2, 8, 16, 128),
        "cluster": (3, 16, 32, 512),
    }
    assert {n: (p.train.method, p.train.learning_rate) for n, p in found.items()} == {
        "quick": ("full", 1.5e-4),
        "laptop": ("full", 1.5e-4),
        "workstation": ("lora", 1e-3),
        "cluster": ("full", 2e-5),
    }
