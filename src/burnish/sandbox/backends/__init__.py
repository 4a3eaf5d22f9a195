"""Back ends: ways to isolate a job. One file each, found by name."""

from burnish.base.registry import Registry
from burnish.sandbox.backends.backend import Backend

backends: Registry[Backend] = Registry("isolation", "burnish.sandbox.backends")
