"""Give a decoder quantised weights: from a GGUF file's own blocks, or rounded here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from burnish.base.errors import ModelError
from burnish.kernels.quantised import BLOCK, Blocks, dequantise, quantise
from burnish.models.decoder import Decoder, Linear
from burnish.models.moe import Experts, MoE
from burnish.models.products import Product, quantised_product

BLOCKS_FILE = "weights.blocks"  # safetensors of bytes; another suffix, to avoid confusion
HEAD_BITS = 8  # as in llama.cpp's files: rounding the head hurts most


class Embedding(nn.Module):
    """Rows of a quantised matrix, made whole as they are looked up."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()
        self._blocks = blocks

    def forward(self, tokens: Int[Tensor, " N"]) -> Float[Tensor, "N d"]:
        """The tokens' vectors, fp32."""
        return dequantise(Blocks(data=self._blocks.data[tokens], bits=self._blocks.bits))


def quantise_decoder(decoder: Decoder, bits: int, own: Mapping[str, Blocks]) -> None:
    """Replace all matrices by blocks of `bits` (the head and the embedding: 8).

    `own` are a GGUF file's blocks by parameter name; those with the wanted bits are taken as they
    are. Everything else is rounded here, but for routers. The whole weights are dropped.
    Source: ours. Oracle: tests/models/test_quantise.py::test_logits_equal_the_whole_blocks
    """
    _check_widths(decoder)

    def blocks_of(name: str, wanted: int) -> Blocks:
        if name in own and own[name].bits == wanted:
            return own[name]
        return quantise(decoder.get_parameter(name), wanted)

    def joined(prefix: str, names: tuple[str, ...]) -> Product:
        linears: list[Any] = [decoder.get_submodule(f"{prefix}.{name}") for name in names]
        data = [blocks_of(f"{prefix}.{name}.weight", bits).data for name in names]
        biases = [linear.bias for linear in linears if linear.bias is not None]
        for linear in linears:
            linear.register_parameter("weight", None)
        whole = Blocks(data=torch.cat(data), bits=bits)
        return quantised_product(whole, torch.cat(biases) if biases else None)

    for index, layer in enumerate(decoder.model.each_layer()):
        prefix = f"model.layers.{index}"
        layer.self_attn.fused = joined(f"{prefix}.self_attn", ("q_proj", "k_proj", "v_proj"))
        layer.self_attn.o_proj.fast = joined(f"{prefix}.self_attn", ("o_proj",))
        mlp, place = layer.mlp, f"{prefix}.mlp"
        if isinstance(mlp, MoE):
            _quantise_experts(mlp.experts, bits)
            mlp, place = mlp.shared_expert, f"{place}.shared_expert"
        if mlp is not None:
            mlp.fused = joined(place, ("gate_proj", "up_proj"))
            mlp.down_proj.fast = joined(place, ("down_proj",))
    table = blocks_of("model.embed_tokens.weight", HEAD_BITS)
    head = table if decoder.shape.tied else blocks_of("lm_head.weight", HEAD_BITS)
    decoder.model.register_module("embed_tokens", Embedding(table))
    decoder.lm_head.fast = quantised_product(head, None)
    decoder.lm_head.register_parameter("weight", None)
    decoder.bits = bits
    decoder.join_layers()


def _quantise_experts(experts: Experts, bits: int) -> None:
    """Each expert's products by themselves."""
    pairs = zip(experts.gate_up_proj, experts.down_proj, strict=True)
    experts.fused = [
        (
            quantised_product(quantise(joined, bits), None),
            quantised_product(quantise(down, bits), None),
        )
        for joined, down in pairs
    ]
    for name in ("gate_up_proj", "down_proj"):
        experts.register_parameter(name, None)


def read_blocks(folder: Path) -> dict[str, Blocks]:
    """The blocks that a GGUF file held, if the folder was converted from one."""
    from safetensors.torch import load_file

    path = folder / BLOCKS_FILE
    if not path.exists():
        return {}
    found = {}
    for key, data in load_file(path).items():
        name, _, bits = key.rpartition("/")
        found[name] = Blocks(data=data, bits=int(bits))
    return found


def _check_widths(decoder: Decoder) -> None:
    for name, module in decoder.named_modules():
        widths = [module.in_features] if isinstance(module, Linear) else []
        if isinstance(module, Experts):
            widths = [module.gate_up_proj.shape[-1], module.down_proj.shape[-1]]
        for width in widths:
            if width % BLOCK == 0:
                continue
            raise ModelError(
                f"width of {name}",
                width,
                f"must be a multiple of {BLOCK} to be quantised",
                remedy="Use --precision bf16",
            )
