"""What the statistical model of languages sees of a text: hashed tokens, and where they stand."""

import itertools
import re
import zlib

import numpy as np

NUM_BUCKETS = 1 << 15
MAX_CHARACTERS = 20_000  # the beginning of a long file says enough
OTHER = "other"  # the class of texts that are no program in one of our languages

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\d[\w.]*|[^\sA-Za-z0-9_]{1,3}")


def bucket_features(code: str) -> np.ndarray:
    """The distinct hash buckets of a text's tokens, token pairs and line ends.

    Source: ours; hashing as Weinberger et al. 2009 (arXiv 0902.2206), without signs.
    """
    found: set[str] = set()
    for line in code[:MAX_CHARACTERS].splitlines():
        tokens = [_shape(token) for token in _TOKEN.findall(line)]
        if not tokens:
            continue
        found.update(tokens)
        found.update(map(" ".join, itertools.pairwise(tokens)))
        found.update(("^" + " ".join(tokens[:2]), "^" + tokens[0], tokens[-1] + "$"))
        found.update(mark for token in tokens if not token[0].isalnum() for mark in token)
    buckets = {zlib.crc32(text.encode(errors="replace")) % NUM_BUCKETS for text in found}
    return np.fromiter(sorted(buckets), dtype=np.int32, count=len(buckets))


def _shape(token: str) -> str:
    return "0" if token[0].isdigit() else token[:24]
