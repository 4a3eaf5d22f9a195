"""Choosing training data by complexity, quality and diversity; catching benchmark leaks.

```python
import burnish

found = burnish.curate.dedup("pool.jsonl", out="distinct.jsonl")
print(found["out"])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
