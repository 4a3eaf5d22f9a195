"""Graphs of texts: a graph network selects the labelled examples of a prompt.

```python
import burnish

found = burnish.graph.ingest("mygraph", out="graph")
print(found["nodes"], found["homophily"])
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
