"""How far back a model remembers: copy and language-model curves, memory lengths, limits.

```python
import burnish

burnish.recall.curve("smollm2-135m", lengths="64:512:x2", mode="probe", run="runs/curve")
print(burnish.recall.fit("runs/curve"))
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
