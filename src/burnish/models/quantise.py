"""Give a decoder quantised weights: from a GGUF file's own blocks, or rounded here."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from burnish.base.errors import ModelError
from burnish.kernels.quantised import BLOCK, Blocks, dequantise, quantise
from burnish.models.decoder import Decoder, Linear
from burnish.models.products import Product, quantised_product

BLOCKS_FILE = "weights.blocks"  # safetensors of bytes; another suffix, so that nobody mixes it up
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
    are. Everything else is rounded here. The whole weights are dropped.
    Source: ours. Oracle: tests/models/test_quantise.py::test_logits_equal_the_whole_blocks
    """
    _check_widths(decoder)

    def blocks_of(name: str, wanted: int) -> Blocks:
        if name in own and own[name].bits == wanted:
            return own[name]
        return quantise(decoder.get_parameter(name), wanted)

    def joined(prefix: str, names: tuple[str, ...]) -> Product:
        linears = [decoder.get_submodule(f"{prefix}.{name}") for name in names]
        data = [blocks_of(f"{prefix}.{name}.weight", bits).data for name in names]
        biases = [linear.bias for linear in linears if linear.bias is not None]
        for linear in linears:
            linear.register_parameter("weight", None)
        whole = Blocks(data=torch.cat(data), bits=bits)
        return quantised_product(whole, torch.cat(biases) if biases else None)

    for index, layer in enumerate(decoder.model.layers):
        prefix = f"model.layers.{index}"
        layer.self_attn.fused = joined(f"{prefix}.self_attn", ("q_proj", "k_proj", "v_proj"))
        layer.mlp.fused = joined(f"{prefix}.mlp", ("gate_proj", "up_proj"))
        layer.self_attn.o_proj.fast = joined(f"{prefix}.self_attn", ("o_proj",))
        layer.mlp.down_proj.fast = joined(f"{prefix}.mlp", ("down_proj",))
    table = blocks_of("model.embed_tokens.weight", HEAD_BITS)
    head = table if decoder.shape.tied else blocks_of("lm_head.weight", HEAD_BITS)
    decoder.model.embed_tokens = Embedding(table)
    decoder.lm_head.fast = quantised_product(head, None)
    decoder.lm_head.register_parameter("weight", None)
    decoder.bits = bits
    decoder.join_layers()


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
        if isinstance(module, Linear) and module.in_features % BLOCK:
            raise ModelError(
                f"width of {name}",
                module.in_features,
                f"must be a multiple of {BLOCK} to be quantised",
                remedy="Use --precision bf16",
            )
