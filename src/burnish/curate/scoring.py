"""Parts that scorers share: embeddings of cut texts, and one score from several turns."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from burnish.base.meter import Meter
from burnish.base.progress import track

if TYPE_CHECKING:
    from burnish.models.handle import ModelHandle

MAX_TOKENS = 256
CHUNK = 64
AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": lambda scores: float(np.sum(scores)),
    "mean": lambda scores: float(np.mean(scores)),
    "max": lambda scores: float(np.max(scores)),
}


def cut_tokens(handle: "ModelHandle", text: str, most: int = MAX_TOKENS) -> str:
    """The beginning of a text, at most `max_tokens` long."""
    text = text[: most * 16]
    found = handle.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    offsets = found["offset_mapping"]
    return text if len(offsets) <= most else text[: offsets[most - 1][1]]


def embed_texts(
    handle: "ModelHandle",
    texts: Sequence[str],
    meter: Meter,
    *,
    layer: int | None = None,
    pooling: str = "mean",
) -> Float[np.ndarray, "R d"]:
    """Pooled states of texts, in chunks; equal texts are read once."""
    from burnish.engine.embed import embed

    distinct = sorted(set(texts), key=len)
    found: dict[str, np.ndarray] = {}
    with track(len(distinct), "embed", "text") as bar:
        for start in range(0, len(distinct), CHUNK):
            some = distinct[start : start + CHUNK]
            vectors = embed(handle.model, some, layer=layer, pooling=pooling, meter=meter).numpy()
            found |= dict(zip(some, vectors, strict=True))
            bar.advance(len(some))
    width = len(next(iter(found.values()))) if found else 0
    return np.stack([found[t] for t in texts]) if texts else np.zeros((0, width), np.float32)
