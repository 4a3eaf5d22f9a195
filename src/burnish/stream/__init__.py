"""Texts without end: ingested once into an index folder, asked later, audited and timed.

```python
import burnish

burnish.stream.ingest("smollm2-135m", "notes.md", index="notes-index")
found = burnish.stream.ask("notes-index", "How many boats left on day 7?", max_new_tokens=16)
print(found["text"], len(found["spans"]))
```
"""

from burnish import verbs_of

__getattr__, __dir__ = verbs_of(__name__)
