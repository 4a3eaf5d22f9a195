"""Blocks: what stands in the place of a dense feed-forward. One file each, found by name."""

from typing import Protocol, runtime_checkable

from burnish.base.registry import Registry


@runtime_checkable
class FeedForward(Protocol):
    """Settings of a block."""

    def __post_init__(self) -> None:
        """Refuse settings that fit no model. Raises SettingError."""
        ...


blocks: Registry[FeedForward] = Registry("block", "burnish.arch.blocks")
