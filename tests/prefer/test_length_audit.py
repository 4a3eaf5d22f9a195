"""The audit of pairs whose numbers are known."""

import json
from dataclasses import replace
from typing import Any

import pytest

from burnish.base.errors import IncompleteError
from burnish.prefer.length_audit import Audit, audit_pairs
from burnish.prefer.reading import PairSet, UnusableRow

LENGTHS = ((3, 1), (5, 2), (4, 4), (2, 6))


def audited(pairs_of: Any, audit: Any = audit_pairs) -> Audit:
    pairs = pairs_of(LENGTHS)
    cut = [replace(pairs[0], cut=(True, False)), *pairs[1:]]
    cut = [replace(p, chosen=(*p.chosen[:-1], 2), rejected=(*p.rejected[:-1], 2)) for p in cut[1:]]
    first = replace(pairs[0], cut=(True, False))
    problem = UnusableRow(row=9, problem="must not have an empty 'chosen'", got="''")
    found = PairSet(
        pairs=(first, *cut), problems=(problem,), num_undecided=3, end_ids=frozenset({2})
    )
    return audit(found)


def check_audit(pairs_of: Any, audit: Any = audit_pairs) -> None:
    found = audited(pairs_of, audit)
    assert (found.num_pairs, found.truncated, found.num_undecided) == (4, 1, 3)
    assert found.chosen_longer_frac.value == 0.5
    assert found.equal_length_frac.value == 0.25
    assert found.excess_tokens_frac.value == pytest.approx((2 + 3 + 0 + 4) / 27)
    # excess 2 3 0 -4 against -2 -3 0 4: of 16 comparisons, won and halves by hand
    assert found.length_auc.value == pytest.approx((3 + 3 + 2.5 + 0) / 16)
    assert found.chosen_tokens.value == 14 / 4
    assert found.rejected_tokens.value == 13 / 4
    assert found.missing_end == 2
    assert found.length_auc.low <= found.length_auc.value <= found.length_auc.high


def test_numbers_by_hand(pairs_of: Any) -> None:
    check_audit(pairs_of)


def test_planted_ties_count_as_longer(pairs_of: Any) -> None:
    def generous(found: PairSet) -> Audit:
        exact = audit_pairs(found)
        more = replace(exact.chosen_longer_frac, value=exact.chosen_longer_frac.value + 0.25)
        return replace(exact, chosen_longer_frac=more)

    with pytest.raises(AssertionError):
        check_audit(pairs_of, generous)


def test_json_has_the_promised_keys(pairs_of: Any) -> None:
    told = json.loads(json.dumps(audited(pairs_of).to_dict()))
    numbers = ("num_pairs", "chosen_longer_frac", "length_auc", "excess_tokens_frac", "truncated")
    assert all(isinstance(told[name], int | float) for name in numbers)
    row = {"row": 9, "problem": "must not have an empty 'chosen'", "got": "''"}
    assert told["problems"] == [row] and told["num_problems"] == 1
    assert told["intervals"]["length_auc"]["n"] == 4


def test_one_pair_is_too_few(pairs_of: Any) -> None:
    with pytest.raises(IncompleteError, match="usable pairs must be at least two, got 1"):
        audit_pairs(PairSet(pairs=tuple(pairs_of([(2, 3)]))))
