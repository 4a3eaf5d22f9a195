"""Rounds of evolution."""

from itertools import pairwise

import numpy as np

from burnish.curate.evolve import NUM_LEVELS, OPERATORS, evolve, evolve_by_model, evolved_set


def test_each_round_adds_one_demand():
    kinds = {s: kind for kind, some in OPERATORS.items() for s in some}
    for seed in range(20):
        before = "Add two numbers."
        for level in range(1, NUM_LEVELS):
            text = evolve("Add two numbers.", level, seed=seed)
            assert text.startswith(before) and len(text.splitlines()) == level + 1
            before = text
        added = text.splitlines()[1:]
        assert len(set(added)) == len(added)
        assert all(kinds[a] != kinds[b] for a, b in pairwise(added))
    assert evolve("x", 0) == "x"
    assert evolve("x", 3, seed=1) != evolve("x", 3, seed=2)


def test_a_set_has_every_level():
    texts, levels = evolved_set(["a", "b"])
    assert levels.tolist() == [0, 1, 2, 3, 4, 5] * 2 and texts[6] == "b"
    assert np.array_equal([t.count("\n") for t in texts], levels)


def test_a_model_is_asked_once_a_round():
    asked = []

    def ask(level, prompts):
        asked.append((level, prompts))
        return [f" harder {level}\n", "" if level == 2 else f"other {level}"][: len(prompts)]

    assert evolve_by_model(["easy", "plain"], 4, ask) == [
        ["easy", "harder 1", "harder 2", "harder 3"], ["plain", "other 1"]
    ]  # fmt: skip
    assert [(level, len(prompts)) for level, prompts in asked] == [(1, 2), (2, 2), (3, 1)]
    assert "easy" in asked[0][1][0] and "harder 1" in asked[1][1][0]
    # what only repeats itself is not harder
    assert evolve_by_model(["easy"], 4, lambda level, prompts: ["easy"]) == [["easy"]]
