"""One decoder for Llama, Mistral, Qwen2, Qwen3 and SmolLM, Mixtral and the Qwen-MoEs.

Parameter names are Hugging Face's, so a checkpoint loads and saves without renaming and PEFT
adapters fit. The decoder sees rows, never sequences: positions, cache and mask belong to the
`Attend` object that the caller passes (see docs/decisions/0001-house.md).
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from burnish.base.errors import ModelError
from burnish.contracts.attention import Attend
from burnish.kernels import ops
from burnish.kernels.layers import Layers, LayerWeights, Sighted, Weight
from burnish.models.config import DecoderConfig
from burnish.models.mlp import MLP
from burnish.models.moe import MoE
from burnish.models.parts import Linear, RMSNorm, Table, join_linears, wants_grad
from burnish.models.products import Plain, Product, Tiled, make_product
from burnish.models.solver import LayerSolver, SharedSolver, first_history, needs_history

PACKING_MEMORY_PARTS = 4  # weights are packed where they fit this often into the memory


class Attention(nn.Module):
    """Projections around the caller's `Attend`; queries and keys leave unrotated."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        solver = config.solver
        self.place = layer if solver is None else solver.first_place(layer)
        self.head_dim = config.head_dim
        queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        self.sizes = [queries, keys, keys]
        self.q_proj = Linear(config.d_model, queries, bias=config.qkv_bias)
        self.k_proj = Linear(config.d_model, keys, bias=config.qkv_bias)
        self.v_proj = Linear(config.d_model, keys, bias=config.qkv_bias)
        self.o_proj = Linear(queries, config.d_model, bias=config.out_bias)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.fused: Product | None = None

    def forward(
        self,
        rows: Float[Tensor, "N d"],
        attend: Attend,
        evaluation: int = 0,
        kept: list[Tensor] | None = None,
    ) -> Float[Tensor, "N d"]:
        """Attention output of each row, before it is added to the stream.

        Evaluations of a layer have places of their own in the cache; with `kept` they share that
        of the first, which leaves its keys and values in it for the others.
        """
        if kept:
            place, (key, value) = self.place, kept
            query = self._heads(self._query(rows))
            if self.q_norm is not None:
                query = self.q_norm(query)
        else:
            place = self.place + evaluation
            query, key, value = self._projected(rows)
            if kept is not None:
                kept += [key, value]
        return self.o_proj(attend(place, query, key, value).flatten(-2))

    def _projected(self, rows: Float[Tensor, "N d"]) -> tuple[Tensor, Tensor, Tensor]:
        if self.fused is not None and not wants_grad(rows):
            parts = self.fused(rows).split(self.sizes, dim=-1)
        else:
            parts = (self.q_proj(rows), self.k_proj(rows), self.v_proj(rows))
        query, key, value = (self._heads(part) for part in parts)
        if self.q_norm is not None and self.k_norm is not None:
            query, key = self.q_norm(query), self.k_norm(key)
        return query, key, value

    def _query(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        if self.fused is not None and self.q_proj.weight is None:  # quantised: only joined
            return self.fused(rows).split(self.sizes, dim=-1)[0]
        return self.q_proj(rows)

    def _heads(self, part: Float[Tensor, "N e"]) -> Float[Tensor, "N H D"]:
        return part.unflatten(-1, (-1, self.head_dim))


class Layer(nn.Module):
    """Attention and feed-forward, each after a norm and added to the stream.

    With a solver the layer is evaluated several times, see `burnish.models.solver`.
    """

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = _feed_forward(config, layer)
        self.input_layernorm = RMSNorm(config.d_model, config.norm_eps)
        self.post_attention_layernorm = RMSNorm(config.d_model, config.norm_eps)
        solver = config.solver
        self.solver = None if solver is None else LayerSolver(solver, layer, config.d_model)

    def forward(
        self,
        rows: Float[Tensor, "N d"],
        attend: Attend,
        shared: SharedSolver | None = None,
        history: tuple[Tensor, ...] = (),
    ) -> Any:
        """The stream after one evaluation; with `shared`, after the solver's step, and history."""
        if shared is None or self.solver is None:
            middle, _, change = self._halves(rows, attend)
            return middle + change
        kept: list[Tensor] | None = [] if self.solver.config.shared_kv else None

        def evaluate(index: int, at: Tensor) -> tuple[Tensor, Tensor]:
            middle, attended, change = self._halves(at, attend, index, kept)
            return middle + change, attended + change

        return self.solver(evaluate, rows, history, shared)

    def _halves(
        self,
        rows: Float[Tensor, "N d"],
        attend: Attend,
        evaluation: int = 0,
        kept: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The stream after attention, what attention added, and what the feed-forward will."""
        attended = self._attended(rows, attend, evaluation, kept)
        norm = self.post_attention_layernorm
        if ops.usable(rows, attended, norm.weight):
            rows, normed = ops.add_rms_norm(rows, attended, norm.weight, norm.eps)
            return rows, attended, self.mlp(normed)
        rows = rows + attended
        return rows, attended, self.mlp(norm(rows))

    def _attended(
        self, rows: Tensor, attend: Attend, evaluation: int, kept: list[Tensor] | None
    ) -> Tensor:
        """What attention adds to the stream."""
        return self.self_attn(self.input_layernorm(rows), attend, evaluation, kept)

    def weights(self) -> LayerWeights | None:
        """What the kernel for all layers wants to know; None where a product is not in tiles."""
        attention, mlp = self.self_attn, self.mlp
        if isinstance(mlp, MoE) or self.solver is not None:
            return None
        products = (attention.fused, attention.o_proj.fast, mlp.fused, mlp.down_proj.fast)
        tiled: list[Weight] = [(p.weight, p.bias) for p in products if isinstance(p, Tiled)]
        if len(tiled) < len(products):
            return None
        query, key = attention.q_norm, attention.k_norm
        return LayerWeights(
            norm=self.input_layernorm.weight.detach(),
            query_norm=None if query is None else query.weight.detach(),
            key_norm=None if key is None else key.weight.detach(),
            mlp_norm=self.post_attention_layernorm.weight.detach(),
            joined=tiled[0],
            out=tiled[1],
            gates=tiled[2],
            down=tiled[3],
        )


class Stack(nn.Module):
    """Embedding, layers and final norm: the part that Hugging Face checkpoints call `model`."""

    layer_class: type[Layer] = Layer

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.embed_tokens = Table(config.vocab_size, config.d_model)
        make = self.layer_class
        self.layers = nn.ModuleList(make(config, index) for index in range(config.num_layers))
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        solver = config.solver
        self.solver = None if solver is None else SharedSolver(solver, config.d_model)
        self.config, self.checkpointing = solver, False
        self.first_order = False  # one evaluation a layer, as if there were no solver

    def forward(
        self, rows: Float[Tensor, "N d"], attend: Attend, first: int, end: int
    ) -> Float[Tensor, "N d"]:
        """The stream after layers `first` up to, not including, `end`, each by itself."""
        shared, history = self._begin(rows, first)
        for layer in itertools.islice(self.layers, first, end):
            if self.checkpointing and torch.is_grad_enabled():
                out = checkpoint(layer, rows, attend, shared, history, use_reentrant=False)
            else:
                out = layer(rows, attend, shared, history)
            rows, history = (out, ()) if shared is None else out
        return rows

    def each_layer(self) -> Iterator[Layer]:
        """The layers, in order."""
        return iter(cast("Iterable[Layer]", self.layers))

    def _begin(
        self, rows: Float[Tensor, "N d"], first: int
    ) -> tuple[SharedSolver | None, tuple[Tensor, ...]]:
        if self.config is None or self.first_order:
            return None, ()
        if first and needs_history(self.config):
            rule = "reads the output of all earlier layers, so a pass cannot start at a later layer"
            remedy = "Draft with ngram or first_order"
            raise ModelError("corrector", self.config.corrector, rule, remedy=remedy)
        return self.solver, first_history(self.config, rows)


class Decoder(nn.Module):
    """A causal language model over rows of tokens.

    Source: the Llama family, arXiv 2302.13971; differences of each member in `DecoderConfig`.
    Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """

    stack_class: type[Stack] = Stack

    def __init__(self, shape: DecoderConfig, config: Any) -> None:
        super().__init__()
        self.shape = shape
        self.config = config  # transformers' own, kept for saving and for PEFT
        self.model = self.stack_class(shape)
        self.lm_head = Linear(shape.d_model, shape.vocab_size, bias=False)
        self._layers: Layers | None = None  # all in one call, where the kernels can
        self.bits: int | None = None  # set by `models.quantise`: of a weight in the products
        self.register_state_dict_pre_hook(self._refuse_if_quantised)
        self.tie_weights()

    def tie_weights(self) -> None:
        """Make the head share the embedding where the configuration says so."""
        if self.shape.tied:
            self.lm_head.weight = self.model.embed_tokens.weight

    def hidden(
        self,
        tokens: Int[Tensor, " N"],
        attend: Attend,
        *,
        first_layer: int = 0,
        last_layer: int | None = None,
        rows: Float[Tensor, "N d"] | None = None,
    ) -> Float[Tensor, "N d"]:
        """Run rows through layers `first_layer` up to, not including, `last_layer`.

        With `rows`, enter the stream there instead of embedding `tokens`. The final norm is
        part of the last layer: a partial pass returns the raw stream.
        """
        stream: Tensor = self.model.embed_tokens(tokens) if rows is None else rows
        end = self.shape.num_layers if last_layer is None else last_layer
        sight = attend.sight if isinstance(attend, Sighted) else None
        joined = self._layers
        if (
            joined is not None
            and sight is not None
            and ops.usable(stream, joined.norm, sight.cells)
        ):
            stream = joined.run(stream, sight, first_layer, end)
        else:
            stream = self.model(stream, attend, first_layer, end)
        return self.model.norm(stream) if end == self.shape.num_layers else stream

    def head(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N V"]:
        """Logits of final hidden rows; pass only the rows whose logits are needed."""
        return self.lm_head(rows)

    def fuse(self) -> None:
        """Prepare for inference: fuse query, key and value (and gate, up) into one product each.

        The single projections become views of the fused storage, and a checkpoint still saves
        under its own names. Products are packed where that doubles no large memory. Call `unfuse`
        before the weights change.
        """
        self._refuse_if_quantised()
        make = make_product if self.may_pack() else Plain
        for layer in self.model.each_layer():
            attention = layer.self_attn
            attention.fused = make(
                *join_linears(attention.q_proj, attention.k_proj, attention.v_proj)
            )
            attention.o_proj.fast = make(attention.o_proj.weight, attention.o_proj.bias)
            layer.mlp.fuse(make)
        self.lm_head.fast = make(self.lm_head.weight, None)
        self.join_layers()

    def join_layers(self) -> None:
        """Run all layers in one kernel call, if all their products are in tiles."""
        weights = [layer.weights() for layer in self.model.each_layer()]
        known = [one for one in weights if one is not None]
        self._layers = Layers(known, self.shape.norm_eps) if len(known) == len(weights) else None

    def unfuse(self) -> None:
        """Forget what `fuse` made: single projections are used, and may be replaced (LoRA).

        Raises ModelError for a quantised model, which has no whole weights.
        """
        self._refuse_if_quantised()
        for layer in self.model.each_layer():
            layer.self_attn.fused = layer.self_attn.o_proj.fast = None
            layer.mlp.unfuse()
        self.lm_head.fast = self._layers = None

    def _refuse_if_quantised(self, *_: Any) -> None:
        if self.bits is not None:
            raise ModelError(
                "precision",
                f"int{self.bits}",
                "must be fp32 or bf16 for training and saving",
                remedy="Load the model with --precision bf16",
            )

    def may_pack(self) -> bool:
        """Packed weights are a second copy: only where it is a small part of the memory."""
        num_bytes = sum(p.numel() * p.element_size() for p in self.parameters())
        memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return num_bytes * PACKING_MEMORY_PARTS < memory_bytes


@contextmanager
def first_order(decoder: Decoder) -> Iterator[None]:
    """Meanwhile each layer is evaluated once, as if there were no solver.

    Source: ours. Oracle: tests/arch/test_upcycle_solver.py::test_first_order_is_the_plain_model
    """
    decoder.model.first_order = True
    try:
        yield
    finally:
        decoder.model.first_order = False


def _feed_forward(config: DecoderConfig, layer: int) -> MLP | MoE:
    experts = config.experts
    if experts is None or layer not in experts.layers:
        return MLP(config)
    shared = MLP(replace(config, d_ff=experts.d_shared)) if experts.d_shared else None
    return MoE(config.d_model, experts, shared)
