"""The block's spec and what it refuses."""

import pytest

from burnish.arch.blocks import blocks
from burnish.arch.blocks.moe import MoEBlock
from burnish.base.errors import SettingError, UnknownNameError


def test_specs() -> None:
    assert blocks.parse("moe:experts=4,top_k=1,shared=64") == MoEBlock(
        experts=4, top_k=1, shared=64
    )
    assert blocks.parse("moe") == MoEBlock(experts=8, top_k=2)


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("moe:experts=1", "experts must be at least 2, got 1"),
        ("moe:top_k=9", r"top_k must lie between 1 and experts \(8\), got 9"),
        ("moe:top_k=0", "top_k must lie between"),
        ("moe:shared=-1", "shared must not be negative"),
        ("moe:expert=4", "has no such field"),
    ],
)
def test_refusals(spec: str, rule: str) -> None:
    with pytest.raises(SettingError, match=rule):
        blocks.parse(spec)


def test_unknown_blocks_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="mole"):
        blocks.parse("mole:experts=4")
