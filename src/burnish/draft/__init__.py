"""Speculative decoding: FIRP and its baselines; several tokens per pass, the same text.

```python
import burnish

plan = burnish.draft.plan("smollm2-135m", context=64, repeats=3)
print(plan["choice"])
```
"""

from burnish import verbs_of
from burnish.base.registry import Registry
from burnish.contracts.drafter import Drafter

drafters: Registry[Drafter] = Registry("drafter", "burnish.draft")

__getattr__, __dir__ = verbs_of(__name__)
