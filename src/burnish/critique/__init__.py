"""A critic that finds the first wrong step: its data, its training and its use.

```python
import burnish

found = burnish.critique.grade(gold="1/2", answer="The answer is 0.5.")
assert found["correct"]
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
