"""Conversion of experts' weights between folders (one matrix each) and the decoder (stacked)."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

MIXTRAL = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
SINGLE = re.compile(
    r"(?P<layer>.*\.)(?:mlp|block_sparse_moe)\.experts\.(?P<expert>\d+)\.(?P<part>\w+)\.weight"
)
MIXTRAL_ROUTER = ".block_sparse_moe.gate."


def join_experts(
    state: dict[str, Any],
    num_experts: int,
    joined: Callable[[str, str], object] | None = None,
) -> None:
    """Stack single experts' weights, and rename Mixtral's weights to the decoder's names.

    `joined(old, new)` is told of each weight's new name. Stacked weights stay as they are. Where
    an expert of a layer is missing, its weights stay single, and do not fit the decoder.
    Source: transformers, `conversion_mapping.py` (mixtral, qwen2_moe).
    Oracle: tests/models/test_expert_weights.py::test_folders_are_read_as_transformers_does
    """
    tell = joined or (lambda old, new: None)
    lists: dict[str, dict[tuple[str, int], str]] = {}
    for name in list(state):
        if MIXTRAL_ROUTER in name:
            new = name.replace(MIXTRAL_ROUTER, ".mlp.gate.")
            state[new] = state.pop(name)
            tell(name, new)
        elif found := SINGLE.fullmatch(name):
            long = {short: part for part, short in MIXTRAL.items()}
            part = long.get(found["part"], found["part"])
            lists.setdefault(found["layer"], {})[part, int(found["expert"])] = name
    for layer, names in lists.items():
        num = num_experts
        if set(names) != {(part, expert) for part in MIXTRAL for expert in range(num)}:
            continue
        prefix = f"{layer}mlp.experts"
        single = {key: state.pop(name) for key, name in names.items()}
        pairs = [(single["gate_proj", i], single["up_proj", i]) for i in range(num)]
        state[f"{prefix}.gate_up_proj"] = torch.stack([torch.cat(pair) for pair in pairs])
        state[f"{prefix}.down_proj"] = torch.stack([single["down_proj", i] for i in range(num)])
        for (part, _), name in names.items():
            tell(name, f"{prefix}.{'down_proj' if part == 'down_proj' else 'gate_up_proj'}")


def split_experts(state: Mapping[str, Tensor], family: str) -> dict[str, Tensor]:
    """The decoder's weights under the names of the family's folders, one matrix an expert.

    Source: transformers, `conversion_mapping.py`, reversed.
    Oracle: tests/models/test_expert_weights.py::test_saved_folders_are_read_by_transformers
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith(".mlp.experts.gate_up_proj"):
            for expert, both in enumerate(value):
                gate, up = both.chunk(2)
                found[_single(name, family, expert, "gate_proj")] = gate.contiguous()
                found[_single(name, family, expert, "up_proj")] = up.contiguous()
        elif name.endswith(".mlp.experts.down_proj"):
            for expert, down in enumerate(value):
                found[_single(name, family, expert, "down_proj")] = down.contiguous()
        elif family == "mixtral" and ".mlp.gate." in name:
            found[name.replace(".mlp.gate.", MIXTRAL_ROUTER)] = value
        else:
            found[name] = value
    return found


def _single(name: str, family: str, expert: int, part: str) -> str:
    layer = name.partition("mlp.experts.")[0]
    if family == "mixtral":
        return f"{layer}block_sparse_moe.experts.{expert}.{MIXTRAL[part]}.weight"
    return f"{layer}mlp.experts.{expert}.{part}.weight"
