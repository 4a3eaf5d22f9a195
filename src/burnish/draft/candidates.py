"""From candidates at each depth to a draft, and chains merged into it."""

from array import array
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from burnish.contracts.drafter import Draft
from burnish.draft.tree import Tree

MATCH: Mapping[str, int] = MappingProxyType(
    {"max_match": 4, "min_match": 2}
)  # tokens, see `lookup`


def draft_of(root: int, tree: Tree, candidates: Sequence[Sequence[int]]) -> Draft:
    """Fill a tree's shape: `candidates[i][r]` is the token of rank r at depth i + 1."""
    tokens = [root]
    for depth, rank in zip(tree.depths[1:], tree.ranks[1:], strict=True):
        tokens.append(candidates[depth - 1][rank])
    return Draft(tokens=tuple(tokens), parents=tree.parents)


def merged(draft: Draft, chain: Sequence[int]) -> Draft:
    """The draft with a chain of tokens merged in at its root; common prefixes appear once.

    Source: ours. Oracle: tests/draft/test_candidates.py::test_merged_holds_both
    """
    tokens, parents = list(draft.tokens), list(draft.parents)
    node, children = 0, draft.children
    for token in chain:
        known = children[node].get(token) if node < len(children) else None
        if known is None:
            tokens.append(token)
            parents.append(node)
            known = len(tokens) - 1
        node = known
    return Draft(tokens=tuple(tokens), parents=tuple(parents))


def lookup(tokens: Sequence[int], num_tokens: int, *, max_match: int, min_match: int) -> list[int]:
    """The tokens that followed the last earlier occurrence of the text's end, if any.

    The longest end of at most `max_match` tokens counts first. A match close to the end is
    unrolled: the text `a b a b` continues as `a b a b ...` for as long as is asked.
    Source: prompt lookup decoding (Saxena 2023), as transformers' `prompt_lookup_num_tokens`.
    Departure: the last occurrence, not the first, and periods are unrolled.
    Oracle: tests/draft/test_candidates.py::test_lookup_equals_brute_force
    """
    length, found = len(tokens), array("I", tokens)
    text, width = found.tobytes(), found.itemsize
    for size in range(min(max_match, length - 1), min_match - 1, -1):
        end = text[(length - size) * width :]
        at = text.rfind(end, 0, (length - 1) * width)
        while at > 0 and at % width:  # a match across the bytes of two tokens
            at = text.rfind(end, 0, at + len(end) - 1)
        if at >= 0:
            start = at // width
            period = length - start - size
            return [tokens[start + size + i % period] for i in range(num_tokens)]
    return []
