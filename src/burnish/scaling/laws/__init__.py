"""Scaling laws: loss as a function of size, data, experts and batch. One file each, by name.

A law is given by its spec: `chinchilla`, `experts:variable=e`, `experts:families=separate`.
"""

from burnish.base.registry import Registry
from burnish.contracts.law import Law

laws: Registry[Law] = Registry("law", "burnish.scaling.laws")
