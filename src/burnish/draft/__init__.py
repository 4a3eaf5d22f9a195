"""Drafted decoding: FIRP and its baselines; several tokens a pass, the text unchanged."""

from burnish.base.registry import Registry
from burnish.contracts.drafter import Drafter

drafters: Registry[Drafter] = Registry("drafter", "burnish.draft")
