"""Shapes from configurations, and exponents between conventions."""

import json

import numpy as np
import pytest

from burnish.base.errors import InputError
from burnish.models.count import CONVENTIONS, LayerShape, count_under
from burnish.scaling import counting as module
from burnish.scaling.counting import conversions, convert_exponent, count_all, read_shape

SHORT = {"hidden": 64, "ffn": 128, "layers": 2, "experts": 8, "top_k": 2, "seq": 128}


def test_configurations_are_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SHORT))
    found = count_all(read_shape(str(path)))["non-embedding"]
    wanted = {"n_active": 131072, "n_total": 425984, "flops_per_token": 983040}
    assert {name: found[name] for name in wanted} == wanted
    assert read_shape(str(tmp_path)) == read_shape(str(path))
    path.write_text(json.dumps({
        "hidden_size": 96, "num_hidden_layers": 3, "intermediate_size": 200, "vocab_size": 50,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "model_type": "gpt2",
        "num_local_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 40,
        "n_shared_experts": 2, "first_k_dense_replace": 1, "tie_word_embeddings": False,
        "max_position_embeddings": 77,
    }))  # fmt: skip
    shape = read_shape(str(path), seq_tokens=9)
    assert shape == LayerShape(
        d_model=96, num_layers=3, d_ff=200, num_heads=4, num_kv_heads=2, head_dim=16,
        vocab_size=50, seq_tokens=9, tied=False, gated=False, num_dense_layers=1,
        num_experts=4, top_k=1, expert_ff=40, shared_ff=80,
    )  # fmt: skip
    path.write_text(json.dumps({"hidden_size": 96}))
    with pytest.raises(InputError, match="num_hidden_layers"):
        read_shape(str(path))


def test_conventions_differ_by_the_embedding():
    shape = LayerShape(d_model=64, num_layers=2, d_ff=170, num_heads=1, num_kv_heads=1,
                       head_dim=64, vocab_size=50000)  # fmt: skip
    found = count_all(shape)
    gap = found["all"]["n_active"] - found["non-embedding"]["n_active"]
    assert gap == 50000 * 64 + 5 * 64
    assert set(found) == set(CONVENTIONS)


def family():
    """Shapes of fixed aspect: layers = width / 64."""
    return [
        LayerShape(d_model=w, num_layers=w // 64, d_ff=4 * w, num_heads=w // 64,
                   num_kv_heads=w // 64, head_dim=64, vocab_size=32000, seq_tokens=2048)
        for w in range(256, 1025, 64)
    ]  # fmt: skip


def check_simulated(convert):
    """Follow N = k C^a in one convention and read it in the other, run by run."""
    shapes, a = family(), 0.5
    for source, target in (("non-embedding", "all"), ("all", "kaplan"), ("kaplan", "deepseek")):
        before = [count_under(s, source) for s in shapes]
        after = [count_under(s, target) for s in shapes]
        compute = np.array([float(b.n_active) for b in before]) ** (1 / a)
        tokens = compute / [float(b.flops_per_token) for b in before]
        new = np.log(tokens * [float(b.flops_per_token) for b in after])
        wanted = np.polyfit(new, np.log([float(b.n_active) for b in after]), 1)[0]
        assert convert(a, shapes, source=source, target=target) == pytest.approx(wanted, abs=0.01)


def test_exponent_moves_as_simulated():
    check_simulated(convert_exponent)


def test_planted_exponent_that_does_not_move():
    with pytest.raises(AssertionError):
        check_simulated(lambda a, *_, **__: a)


def test_the_same_convention_moves_nothing():
    found = conversions(0.5, family(), source="non-embedding")
    assert found["non-embedding"] == pytest.approx(0.5)
    assert found["all"] < 0.5  # embeddings weigh on small models: N grows less
    with pytest.raises(InputError, match="two or more"):
        module.convert_exponent(0.5, family()[:1], source="all", target="kaplan")
