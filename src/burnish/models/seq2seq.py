"""An encoder and a decoder that reads it: the layers of `decoder`, with cross-attention beside.

Both halves take solvers: all evaluations of a decoder layer read the same keys and values of the
source, which do not depend on the evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from burnish.contracts.attention import Attend
from burnish.models.config import DecoderConfig
from burnish.models.decoder import Decoder, Layer, Stack
from burnish.models.parts import Linear, RMSNorm

Pair = tuple[Tensor, Tensor]


class Memory:
    """Encoded sources, and the keys and values that each decoder layer makes of them, once.

    `seen` marks rows that are no padding. Rows that attend are those of the first source, then of
    the next, the same number of each.
    """

    def __init__(self, rows: Float[Tensor, "B T d"], seen: Bool[Tensor, "B T"]) -> None:
        self.rows, self.seen = rows, seen
        self._kept: dict[int, Pair] = {}

    def read(self, layer: int, make: Callable[[Tensor], Pair]) -> Pair:
        """Keys and values `[B K T D]` of a layer."""
        if layer not in self._kept:
            self._kept[layer] = make(self.rows)
        return self._kept[layer]

    def repeated(self, times: int) -> "Memory":
        """Each source so many times, one after another; what layers read is made anew."""
        return Memory(*(one.repeat_interleave(times, dim=0) for one in (self.rows, self.seen)))


@dataclass(frozen=True)
class Reading:
    """Attention over one's own sequence, beside a memory that cross-attention reads."""

    own: Attend
    memory: Memory

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention over the own sequence."""
        return self.own(layer, query, key, value)


class CrossAttention(nn.Module):
    """What target rows take from their sources; no positions.

    Source: arXiv 1706.03762, section 3.2.3.
    Oracle: tests/models/test_seq2seq.py::test_cross_attention_equals_torch
    """

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, config.head_dim
        self.group = config.num_heads // config.num_kv_heads
        queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        self.q_proj = Linear(config.d_model, queries, bias=False)
        self.k_proj = Linear(config.d_model, keys, bias=False)
        self.v_proj = Linear(config.d_model, keys, bias=False)
        self.o_proj = Linear(queries, config.d_model, bias=False)

    def forward(self, rows: Float[Tensor, "N d"], memory: Memory) -> Float[Tensor, "N d"]:
        """What each row takes from its source; not yet added."""
        keys, values = memory.read(self.layer, self._keys_values)
        query = self.q_proj(rows).unflatten(0, (len(memory.seen), -1))
        out = F.scaled_dot_product_attention(
            query.unflatten(-1, (-1, self.head_dim)).transpose(1, 2),
            keys,
            values,
            attn_mask=memory.seen[:, None, None, :],
        )
        return self.o_proj(out.transpose(1, 2).flatten(2).flatten(0, 1))

    def _keys_values(self, rows: Float[Tensor, "B T d"]) -> Pair:
        flat, num = rows.flatten(0, 1), len(rows)
        made = (proj(flat).unflatten(0, (num, -1)) for proj in (self.k_proj, self.v_proj))
        heads = [one.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for one in made]
        key, value = (one.repeat_interleave(self.group, dim=1) for one in heads)
        return key, value


class CrossLayer(Layer):
    """A layer that reads a memory between attention and feed-forward.

    Source: arXiv 1706.03762, section 3.1, with norms before the branches.
    Oracle: tests/models/test_seq2seq.py::test_decoder_equals_a_reference
    """

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.cross_attn = CrossAttention(config, layer)
        self.cross_layernorm = RMSNorm(config.d_model, config.norm_eps)

    def _attended(
        self, rows: Tensor, attend: Attend, evaluation: int, kept: list[Tensor] | None
    ) -> Tensor:
        assert isinstance(attend, Reading), "only `Seq2Seq` calls these layers"
        attended = super()._attended(rows, attend, evaluation, kept)
        return attended + self.cross_attn(self.cross_layernorm(rows + attended), attend.memory)


class CrossStack(Stack):
    """Layers with cross-attention."""

    layer_class = CrossLayer


class CrossDecoder(Decoder):
    """A decoder whose layers read a memory; `attend` must be a `Reading`."""

    stack_class = CrossStack


class Seq2Seq(nn.Module):
    """From source tokens to target tokens: an encoder, a decoder, one embedding, tied to the head.

    Source: arXiv 1706.03762; layers of the Llama family, as steps of a solver where they have one.
    Oracle: tests/models/test_seq2seq.py::test_decoder_equals_a_reference
    """

    def __init__(self, encoder: DecoderConfig, decoder: DecoderConfig, config: object) -> None:
        super().__init__()
        self.encoder, self.decoder = Stack(encoder), CrossDecoder(decoder, config)
        self.encoder.embed_tokens = self.decoder.model.embed_tokens
        self.encoder_shape = encoder

    def embed(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "N d"]:
        """Rows of tokens, one sequence after another."""
        return self.decoder.model.embed_tokens(tokens.flatten())

    def encode(
        self, rows: Float[Tensor, "N d"], attend: Attend, seen: Bool[Tensor, "B T"]
    ) -> Memory:
        """The memory of embedded sources."""
        rows = self.encoder(rows, attend, 0, self.encoder_shape.num_layers)
        return Memory(self.encoder.norm(rows).unflatten(0, seen.shape), seen)

    def decode(
        self, rows: Float[Tensor, "N d"], attend: Attend, memory: Memory
    ) -> Float[Tensor, "N d"]:
        """Final hidden rows of embedded targets; `attend` is that of their own sequences."""
        unread = rows.new_zeros(len(rows), dtype=torch.long)  # they are embedded already
        return self.decoder.hidden(unread, Reading(attend, memory), rows=rows)
