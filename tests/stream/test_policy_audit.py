"""What an audit measures, against definitions and full attention."""

from typing import Any

import numpy as np
import pytest
import torch

from burnish.kv.policies import kv_policies
from burnish.stream.needles import make_haystack
from burnish.stream.policy_audit import Frame, audit_text, mass_recall, split_policies, under_budget

FRAME = Frame(num_sinks=2, local_tokens=24, bound=0.2)
SPANS = "least_tokens=3,most_tokens=12,mean_tokens=6"


def test_specs_are_split_where_they_end() -> None:
    text = "triangle-dp,blocks:size=32,vectors=apart, quest,random:what=bounds"
    assert split_policies(text) == [
        "triangle-dp", "blocks:size=32,vectors=apart", "quest", "random:what=bounds"
    ]  # fmt: skip


def test_all_policies_read_equally_many_tokens() -> None:
    for spec in ("triangle", "sinks", "window", "snapkv", "expected-attention", "oracle"):
        policy = under_budget(spec, far_tokens=100, local_tokens=20, num_sinks=3)
        more = 0 if spec not in ("snapkv", "expected-attention") else 3  # sinks come on top
        assert policy.budget_tokens + more == 123, spec
    assert kv_policies.name_of(under_budget("full", far_tokens=1, local_tokens=1, num_sinks=0))


def check_mass(recall: Any) -> None:
    source = np.random.default_rng(0)
    query, keys = source.normal(size=(4, 5)), 2 * source.normal(size=(2, 60, 5))
    held = [torch.tensor([0, 1, 7, 9, 30, 50, 59]), torch.tensor([1, 59])]
    given = [torch.from_numpy(x).float() for x in (query, keys)]
    found = recall(*given, held, FRAME)
    shares = np.zeros(34)  # far: tokens 2 to 35
    for head in (0, 1):
        scores = np.exp(keys[0, 2:36] @ query[head] / np.sqrt(5))
        shares += scores / scores.sum()
    best = np.sort(shares)[-3:].sum()
    assert found[0] == pytest.approx(shares[[5, 7, 28]].sum() / best, rel=1e-5)
    assert found[1] == 0.0


def test_mass_recall_by_brute_force() -> None:
    check_mass(mass_recall)


def test_planted_mass_of_local_tokens() -> None:
    near = Frame(num_sinks=2, local_tokens=1, bound=0.2)
    with pytest.raises(AssertionError):
        check_mass(lambda query, keys, held, frame: mass_recall(query, keys, held, near))


def rows_of(model: Any, spec: str, far: int) -> list[dict[str, Any]]:
    text = make_haystack(
        model.tokenizer, corpus="stdlib", length=420, num_needles=3, tail=90, seed=1
    )
    policy = under_budget(spec, far_tokens=far, local_tokens=24, num_sinks=2)
    return audit_text(model, policy, text, FRAME)


def test_full_attention_recalls_all(tiny_model: Any) -> None:
    model = tiny_model("llama")
    for spec, far in (("full", 1), (f"triangle-dp:{SPANS}", 5000)):
        rows = rows_of(model, spec, far)
        assert [row["evidence"] for row in rows] == [1.0, 1.0, 1.0]
        np.testing.assert_allclose([row["mass"] for row in rows], 1.0)


def test_recall_of_policies(tiny_model: Any) -> None:
    model = tiny_model("llama")
    found = {
        spec.partition(":")[0]: rows_of(model, spec, 60)
        for spec in (f"triangle-dp:{SPANS}", "oracle", "window", "snapkv:window_tokens=9")
    }
    assert [row["evidence"] for row in found["window"]] == [0.0] * 3
    for row in found["triangle-dp"]:
        assert 0 <= row["missed"] <= row["bound"] <= 1
        assert 0 <= row["evidence"] <= 1 and 0 <= row["mass"] <= 1.001
        assert row["adaptive_tokens"] >= 0 and len(row["layers"]) == 3
    means = {name: np.mean([row["mass"] for row in rows]) for name, rows in found.items()}
    assert means["oracle"] > 0.95 and means["oracle"] >= means["triangle-dp"] > means["window"]
