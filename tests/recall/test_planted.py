"""Planted memories: their length is known, and must be found exactly."""

from typing import Any

import numpy as np
import pytest
from fixtures.recalling import (
    VOCAB,
    Reader,
    fifo_rule,
    induction_model,
    knowing_rule,
    measured,
    random_material,
    rows_of,
    suffix_rule,
)

from burnish.data.corpora import parse_corpus
from burnish.recall import points as curve_module
from burnish.recall.limits import fit_limits
from burnish.recall.material import draw_material
from burnish.recall.readers import open_reader
from burnish.recall.settings import RecallSettings

WINDOW = 40
GRID = "8,20,38,39,40,41,60"


def settings(mode: str = "paper", **changes: Any) -> RecallSettings:
    fields = {"lengths": GRID, "trials": 6, "mode": mode, "least_tokens": 8}
    return RecallSettings(**(fields | {"cue_tokens": 4, "scored_tokens": 12} | changes))


def check_window(curve: dict[str, Any], window: int = WINDOW) -> None:
    """Perfect up to W - 1; at W and beyond no better than on an unrelated text."""
    assert curve["fine_tokens"] == window - 1
    assert curve["coarse_tokens"] == window - 1
    for point in curve["points"]:
        if point["length"] < window:
            assert point["copy"]["value"] == 1.0
            assert point["state"] == "fine"
        else:
            assert abs(point["gap"]["value"]) < 0.05
            assert point["state"] == "amnesia"
    assert curve["state"] == "amnesia"


@pytest.mark.parametrize("mode", ["paper", "probe"])
def test_a_window_is_found_exactly(mode: str) -> None:
    reader = Reader(suffix_rule(WINDOW))
    check_window(measured(reader, random_material(60, 6), settings(mode)))


def test_a_window_is_found_on_real_text(tiny_tokenizer: Any) -> None:
    """Source code repeats itself, so both curves are high; the cliff stands where it must."""
    wanted = settings("probe", lengths="20,39,40,60", trials=8)
    material = draw_material(
        tiny_tokenizer, parse_corpus("stdlib"), length=60, trials=8, separator=0
    )
    curve = measured(Reader(suffix_rule(WINDOW)), material, wanted)
    copies = {point["length"]: point["copy"]["value"] for point in curve["points"]}
    assert copies[20] == copies[39] == 1.0
    assert copies[40] < 0.95
    assert curve["fine_tokens"] == 39


def test_a_long_window_never_forgets() -> None:
    curve = measured(Reader(suffix_rule(1000)), random_material(60, 6), settings())
    assert (curve["fine_tokens"], curve["state"]) == (60, "fine")
    assert curve["fine"]["at_least"] and curve["coarse"]["at_least"]


def test_no_memory_is_no_copying() -> None:
    curve = measured(Reader(suffix_rule(1)), random_material(60, 6), settings())
    assert (curve["fine_tokens"], curve["coarse_tokens"]) == (0, 0)
    assert curve["state"] == "no copying"


@pytest.mark.parametrize("mode", ["paper", "probe"])
def test_planted_off_by_one_shift(mode: str) -> None:
    """A perfect copier whose predictions are judged one place off is no copier."""

    def shifted(text: list[int], num: int) -> list[int]:
        return [*suffix_rule(WINDOW)(text, num)[1:], -1]

    with pytest.raises(AssertionError):
        check_window(measured(Reader(shifted), random_material(60, 6), settings(mode)))


def test_planted_metric_that_counts_misses(monkeypatch: Any) -> None:
    exact = curve_module.accuracies

    def inverted(rows: Any, *args: Any) -> Any:
        flip = str.maketrans("01", "10")
        return exact([row | {"hits": row["hits"].translate(flip)} for row in rows], *args)

    monkeypatch.setattr(curve_module, "accuracies", inverted)
    with pytest.raises(AssertionError):
        check_window(measured(Reader(suffix_rule(WINDOW)), random_material(60, 6), settings()))


def test_planted_sides_exchanged() -> None:
    rows = rows_of(Reader(suffix_rule(WINDOW)), random_material(60, 6), settings())
    other = {"copy": "lm", "lm": "copy"}
    with pytest.raises(AssertionError):
        check_window(
            curve_module.make_curve([r | {"side": other[r["side"]]} for r in rows], settings())
        )


def broken_past(limit: int) -> Reader:
    """Copies below one position, knows half of the tokens anyway, and nothing above it."""

    def knows(position: int, token: int, is_copy: bool) -> bool:
        return position < limit and (is_copy or token % 2 == 0)

    return Reader(knowing_rule(knows))


@pytest.mark.parametrize("limit", [301, 402])
def test_a_planted_position_limit_is_the_formula(limit: int) -> None:
    wanted = settings(lengths="64:320:+16", trials=4, least_tokens=64)
    curve = measured(broken_past(limit), random_material(320, 4), wanted)
    for point in curve["points"]:
        length = point["length"]
        half = -(-length // 2)
        share = np.clip((limit - 2 * length - 1 + half) / half, 0, 1)
        assert point["copy"]["value"] == pytest.approx(share)
    found = fit_limits(curve)
    assert found["cause"] == "position"
    assert (
        abs(found["position_limit"] - limit) <= 3
    )  # the lm curve has noise: which tokens it knows
    assert found["position_low"] - 3 <= limit <= found["position_high"] + 3
    assert found["r2"] > 0.999


def test_a_position_limit_is_a_collapse() -> None:
    wanted = settings(lengths="64:320:+16", trials=4, least_tokens=64)
    curve = measured(broken_past(301), random_material(320, 4), wanted)
    states = {point["length"]: point["state"] for point in curve["points"]}
    assert states[64] == "fine"
    assert states[320] == curve["state"] == "collapse"
    assert 150 < curve["collapse_tokens"] < 202


@pytest.mark.parametrize("window", [33, 48])
def test_a_hand_built_induction_transformer(window: int) -> None:
    """Two layers with weights written by hand: copying ends at W - 1 tokens."""
    grid = f"16,{window - 2},{window - 1},{window},{window + 1},70"
    wanted = settings("probe", lengths=grid, trials=3)
    material = random_material(70, 3, vocab=400, distinct=True)
    check_window(measured(open_reader(induction_model(window=window)), material, wanted), window)
    full = measured(open_reader(induction_model(window=None)), material, wanted)
    assert (full["fine_tokens"], full["state"]) == (70, "fine")


@pytest.mark.parametrize("sinks", [0, 3])
def test_a_policy_on_the_same_weights(sinks: int) -> None:
    """The window policy gives full attention's weights the memory of what it keeps."""
    kept = 36 - sinks
    grid = f"16,{kept - 2},{kept - 1},{kept},70"
    wanted = settings("probe", lengths=grid, trials=3)
    material = random_material(70, 3, vocab=400, distinct=True)
    policy = f"window:budget_tokens=36,num_sinks={sinks}"
    reader = open_reader(induction_model(window=None), kv=policy, chunk_rows=16)
    check_window(measured(reader, material, wanted), kept)


def test_a_planted_previous_token_head_that_looks_at_itself() -> None:
    model = induction_model(window=33)
    model.network.model.layers[0].self_attn.k_proj.weight[64:85, -1] = 0.0
    wanted = settings("probe", lengths="16,31,32,33,34,70", trials=3)
    material = random_material(70, 3, vocab=400, distinct=True)
    with pytest.raises(AssertionError):
        check_window(measured(open_reader(model), material, wanted), 33)


def test_a_state_model_stays_under_the_capacity_bound() -> None:
    """P(exact copy of L tokens) <= 2^B / V^L for a state of B bits (arXiv 2402.01032)."""
    capacity, num = 10, 200
    wanted = settings(lengths="6,10,11,16", trials=num, least_tokens=6)
    rows = rows_of(Reader(fifo_rule(capacity)), random_material(16, num), wanted)
    for length in (6, 10, 11, 16):
        own = [r["hits"] for r in rows if r["side"] == "copy" and r["length"] == length]
        exact = np.mean([set(hits) == {"1"} for hits in own])
        bits, scored = capacity * np.log2(VOCAB), -(-length // 2)
        bound = min(1.0, 2.0 ** (bits - length * np.log2(VOCAB)))
        assert exact <= bound + 3 * np.sqrt(0.25 / num) * (bound < 1)
        if length < capacity:
            assert exact > 0.9  # the bound is reached: a short text is copied
        elif length > capacity:
            assert exact < 0.05
        assert len(own[0]) == scored
