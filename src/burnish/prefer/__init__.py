"""Preference alignment that does not teach length.

```python
import burnish

found = burnish.prefer.audit("pairs.jsonl")
print(found["num_pairs"], found["num_problems"])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
