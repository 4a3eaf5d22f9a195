"""Asking with a graph: a graph network picks the labelled examples that a prompt shows.

```python
import burnish

found = burnish.graph.ingest("mygraph", out="graph")
print(found["nodes"], found["homophily"])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
