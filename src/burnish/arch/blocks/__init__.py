"""Blocks: what a layer of a model is. One file each, found by name."""

from typing import Protocol, runtime_checkable

from burnish.base.registry import Registry


@runtime_checkable
class Block(Protocol):
    """Settings of a block."""

    def __post_init__(self) -> None:
        """Refuse settings that fit no model. Raises SettingError."""
        ...


blocks: Registry[Block] = Registry("block", "burnish.arch.blocks")
