"""The bridge to reasoning-gym."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.base.errors import InputError, SettingError, UnknownNameError
from burnish.data.gym import build_dataset, freeze, thaw

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text()) | st.just("!tuple")
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
    ),
    max_leaves=10,
)  # fmt: skip


def check_round_trip(value, through):
    back = through(value)
    assert back == value and repr(back) == repr(value)


@given(VALUES)
def test_thaw_undoes_freeze(value):
    check_round_trip(value, lambda v: thaw(json.loads(json.dumps(freeze(v)))))


def test_planted_plain_json():
    for value in [(1, 2), {1: "a"}, {"!tuple": [1]}, {(1, "x"): 2}]:
        with pytest.raises((AssertionError, TypeError)):
            check_round_trip(value, lambda v: thaw(json.loads(json.dumps(v))))


def test_values_without_a_plain_form_are_refused():
    with pytest.raises(InputError, match="must be plain, got 'set'"):
        freeze({"x": {1, 2}})


def test_options_are_typed_and_checked():
    config = build_dataset("chain_sum", {"min_terms": "3"}, size=2, seed=1).config
    assert (config.min_terms, config.size, config.seed) == (3, 2, 1)
    config = build_dataset("basic_arithmetic", {"operators": "+,-"}, size=2, seed=1).config
    assert config.operators == ["+", "-"]
    with pytest.raises(UnknownNameError, match="Did you mean 'chain_sum'"):
        build_dataset("chainsum", {}, size=1, seed=0)
    told = (
        r"^option of 'chain_sum' is not .*, got 'min_term'\. Did you mean 'min_terms'.*max_digits"
    )
    with pytest.raises(SettingError, match=told):
        build_dataset("chain_sum", {"min_term": "3"}, size=1, seed=0)
    with pytest.raises(SettingError, match="must be of type int, got 'x'"):
        build_dataset("chain_sum", {"min_terms": "x"}, size=1, seed=0)
    with pytest.raises(SettingError, match="max_terms must be >= min_terms"):
        build_dataset("chain_sum", {"min_terms": "9"}, size=1, seed=0)


def test_first_import_warns_of_nothing(tmp_path: Path) -> None:
    """As after `pip install --no-compile`: what is imported is compiled then, with its warnings."""
    code = (
        "from burnish.data.gym import build_dataset; build_dataset('chain_sum', {}, size=1, seed=0)"
    )
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
