"""KV policies: what a decoder keeps of a text. One file each, found by name.

A policy is given by its spec: `full`, `window:budget_tokens=1024,num_sinks=4`.
"""

from burnish.base.registry import Registry
from burnish.contracts.kv_policy import KVPolicy

kv_policies: Registry[KVPolicy] = Registry("KV policy", "burnish.kv.policies")
