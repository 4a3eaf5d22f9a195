"""Runs, judges and explains programs in many languages, without Docker and without root.

```python
import burnish

found = burnish.sandbox.run("program.py", limit="cpu_s=2")
assert found["status"] == "accepted"
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
