"""Launchers: one map over items, here or on many machines. One file each, found by name."""

from burnish.base.registry import Registry
from burnish.contracts.launcher import Launcher

launchers: Registry[Launcher] = Registry("launcher", "burnish.distrib")
