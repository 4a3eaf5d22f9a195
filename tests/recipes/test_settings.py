"""Settings that could only fail later are refused at once."""

from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.recipes.settings import (
    ImproveSettings,
    MeasureSettings,
    SampleSettings,
    SelectSettings,
    SplitSettings,
)


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
