"""Planning compute: laws of loss in model size, data, experts and batch; fitted, compared, used.

```python
import burnish

plan = burnish.scaling.plan(flops=1e20)
print(plan["plan_file"])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
