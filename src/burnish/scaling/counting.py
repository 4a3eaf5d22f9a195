"""Shapes from configurations, counted under every convention, and exponents between them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.files import read_json
from burnish.models.count import CONVENTIONS, LayerShape, count_under

PLAIN_MLP = ("gpt2", "gpt_neox", "opt", "phi", "bloom", "gptj")
SHORT = {
    "hidden": "hidden_size", "ffn": "intermediate_size", "layers": "num_hidden_layers",
    "heads": "num_attention_heads", "vocab": "vocab_size", "experts": "num_experts",
    "top_k": "num_experts_per_tok", "seq": "seq_tokens", "kv_heads": "num_key_value_heads",
    "expert_ffn": "moe_intermediate_size",
}  # fmt: skip


def read_shape(name: str, *, seq_tokens: int | None = None) -> LayerShape:
    """The shape of a configuration file, of a folder that holds one, or of a model by name.

    Raises: InputError, naming the entry that is missing; MissingFileError.
    Source: ours. Oracle: tests/scaling/test_counting.py::test_configurations_are_read
    """
    path = Path(name)
    if path.is_dir() and (path / "config.json").is_file():
        path = path / "config.json"
    if path.suffix != ".json" and not path.is_file():
        from burnish.models.load import resolve_folder

        path = resolve_folder(name) / "config.json"
    return shape_from_config(read_json(path), name=str(path), seq_tokens=seq_tokens)


def shape_from_config(
    config: Mapping[str, Any], *, name: str = "config", seq_tokens: int | None = None
) -> LayerShape:
    """The shape of a transformers configuration, or of a short one (hidden, layers, ffn ...)."""
    known = {SHORT.get(key, key): value for key, value in config.items()}

    def need(key: str) -> int:
        if not isinstance(known.get(key), int) or known[key] < 1:
            rule = f"must have a whole number {key}"
            raise InputError(name, known.get(key), rule, remedy="Give a decoder's configuration")
        return int(known[key])

    hidden, layers = need("hidden_size"), need("num_hidden_layers")
    heads = int(known.get("num_attention_heads") or 1)
    experts = next(
        (int(known[key]) for key in ("num_experts", "num_local_experts", "n_routed_experts")
         if known.get(key)), 1,
    )  # fmt: skip
    inner = int(known.get("intermediate_size") or 4 * hidden)
    expert_ff = int(known.get("moe_intermediate_size") or inner)
    shared = int(known.get("shared_expert_intermediate_size") or 0)
    shared = shared or int(known.get("n_shared_experts") or 0) * expert_ff
    sparse = experts > 1
    return LayerShape(
        d_model=hidden, num_layers=layers, d_ff=inner, num_heads=heads,
        num_kv_heads=int(known.get("num_key_value_heads") or heads),
        head_dim=int(known.get("head_dim") or hidden // heads),
        vocab_size=int(known.get("vocab_size") or 0),
        seq_tokens=int(seq_tokens or known.get("seq_tokens")
                       or known.get("max_position_embeddings") or 0),
        tied=bool(known.get("tie_word_embeddings", True)),
        gated=bool(known.get("gated", known.get("model_type") not in PLAIN_MLP)),
        num_dense_layers=int(known.get("first_k_dense_replace") or 0) if sparse else None,
        num_experts=experts, top_k=int(known.get("num_experts_per_tok") or 1),
        expert_ff=expert_ff if sparse else 0, shared_ff=shared if sparse else 0,
    )  # fmt: skip


def count_all(shape: LayerShape) -> dict[str, dict[str, Any]]:
    """Active and stored parameters and training FLOPs per token, under every convention."""
    found = {}
    for name, meaning in CONVENTIONS.items():
        counts = count_under(shape, name)
        found[name] = {
            "n_active": counts.n_active, "n_total": counts.n_total,
            "flops_per_token": counts.flops_per_token, "meaning": meaning,
        }  # fmt: skip
    return found


def convert_exponent(
    exponent: float, shapes: Sequence[LayerShape], *, source: str, target: str
) -> float:
    """An allocation exponent a of N ~ C^a, counted otherwise.

    `shapes` are those of the family, from small to large: how ln N and ln FLOPs of the other
    convention grow along them moves the exponent. With q = dlnN'/dlnN, m and m' the growth of
    FLOPs per token by lnN: a' = q a / (m' a + 1 - m a).
    Raises: InputError, for fewer than two sizes.
    Source: ours, after Porian et al. 2024, arXiv 2406.19146.
    Oracle: tests/scaling/test_counting.py::test_exponent_moves_as_simulated
    """
    before = [count_under(shape, source) for shape in shapes]
    after = [count_under(shape, target) for shape in shapes]
    n = np.log([float(one.n_active) for one in before])
    if len(np.unique(n)) < 2:
        rule = "must be two or more of different size"
        raise InputError("shapes", len(shapes), rule, remedy="Name configurations of one family")
    grow = [
        float(np.polyfit(n, np.log(values), 1)[0])
        for values in (
            [float(one.n_active) for one in after],
            [float(one.flops_per_token) for one in before],
            [float(one.flops_per_token) for one in after],
        )
    ]
    return grow[0] * exponent / (grow[2] * exponent + 1 - grow[1] * exponent)


def conversions(exponent: float, shapes: Sequence[LayerShape], *, source: str) -> dict[str, float]:
    """The exponent under every convention. Raises: as `convert_exponent`."""
    return {
        name: convert_exponent(exponent, shapes, source=source, target=name) for name in CONVENTIONS
    }
