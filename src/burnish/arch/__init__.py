"""Own models: pretraining from text, sizes and costs, comparisons of blocks.

```python
import burnish

print(burnish.arch.show("smollm2-135m")["num_params"])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
