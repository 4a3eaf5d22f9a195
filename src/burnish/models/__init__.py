"""Load, save and count causal language models.

```python
import burnish

print([model["name"] for model in burnish.models.list()["models"]])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
