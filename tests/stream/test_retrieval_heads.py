"""Which heads retrieve, on a tiny model and with heads planted by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from burnish.base.errors import SettingError
from burnish.kv.policies import kv_policies
from burnish.stream import retrieval_heads as module
from burnish.stream.needles import Needle
from burnish.stream.retrieval_heads import (
    CalibrateSettings,
    best_heads,
    calibrate_heads,
    recalls,
)

NEEDLE = Needle(places=((4, 7), (12, 13)), depth=0.1, question=(1,), answer=(2,))


def planted() -> list[torch.Tensor]:
    """Votes of two layers with three heads: head 1.2 likes the needle, 0.1 half of it."""
    votes = [torch.zeros((3, 20)) for _ in range(2)]
    votes[1][2, [2, 3, 4, 10]] = 1.0  # far tokens count from behind the sinks
    votes[0][1, [2, 3, 15, 16]] = 1.0
    for own in votes:
        own[:, 17:20] += 0.5
    return votes


def check_planted(recall: Any) -> None:
    found = recall(planted(), NEEDLE, 2, 4, [])
    np.testing.assert_allclose(found[1, 2], 1.0)
    np.testing.assert_allclose(found[0, 1], 0.5)
    assert best_heads(found[None], 2) == [(1, 2), (0, 1)]
    assert recall(planted(), NEEDLE, 2, 4, [(0, 1), (1, 2)]) >= 0.5
    assert recall(planted(), NEEDLE, 2, 4, [(1, 2)]) == 1.0


def test_a_planted_head_is_found() -> None:
    check_planted(recalls)


def test_planted_needle_that_is_shifted_by_the_sinks() -> None:
    with pytest.raises(AssertionError):
        check_planted(lambda votes, needle, _, *given: recalls(votes, needle, 0, *given))


def test_a_model_is_calibrated(tiny_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAR_TOKENS", 64)
    settings = CalibrateSettings(
        model=str(tiny_folder()), length=900, tail=560, texts=2, needles=3, votes=20, heads=2,
        precision="fp32",
    )  # fmt: skip
    found = calibrate_heads(settings)
    policy = kv_policies.parse(found["policy"])
    assert len(policy.plan.vote_heads) == 2
    assert all(layer < 3 and head < 4 for layer, head in policy.plan.vote_heads)
    with pytest.raises(SettingError, match="heads must be at most 12"):
        calibrate_heads(replace(settings, heads=13))
    assert 0 <= found["recall"]["value"] <= 1 and found["recall"]["n"] == 3
    assert calibrate_heads(settings) == found


def test_refusals() -> None:
    with pytest.raises(SettingError, match="texts must be at least 2"):
        CalibrateSettings(texts=1)
    with pytest.raises(SettingError, match=r"must be layer.head, joined by \+"):
        kv_policies.parse("triangle-dp:vote_heads=18-7")
    with pytest.raises(SettingError, match="needs aligned"):
        kv_policies.parse("triangle:refine=2")
