"""Rendering: a page of value types becomes HTML, terminal text or one zip. It never computes.

```python
import burnish

print(burnish.report.show("runs/curve")["what"])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
