"""Model size and cost per token: integers, computed from the shape."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from burnish.base.errors import InputError
from burnish.models.config import DecoderConfig
from burnish.models.solver_config import SolverConfig

CONVENTIONS = {
    "non-embedding": "products of layers, active experts; FLOPs 6 N + 12 L h seq (Step Law)",
    "kaplan": "the same N; FLOPs 6 N, without attention over the context",
    "deepseek": "N is a sixth of the non-embedding FLOPs per token",
    "with-head": "non-embedding, and the output head in N and FLOPs",
    "with-router": "non-embedding, and the routers in N and FLOPs",
    "all": "every parameter, embeddings and norms included; FLOPs 6 N (Chinchilla's C = 6ND)",
    "hoffmann": "every parameter; FLOPs of Hoffmann's appendix F, embedding and softmax included",
}


@dataclass(frozen=True, kw_only=True)
class Count:
    """Parameters, and forward cost per token. One multiply-add is two FLOPs."""

    num_params: int
    num_active_params: int
    num_embedding_params: int
    flops_per_token: int
    attention_flops_per_token_per_context: int
    kv_elements_per_token: int
    evaluations_per_layer: int | tuple[int, ...] = 1

    def kv_bytes_per_token(self, bytes_per_element: int) -> int:
        """Bytes to store one token's keys and values in all layers."""
        return self.kv_elements_per_token * bytes_per_element

    def to_dict(self) -> dict[str, Any]:
        """All counts, with the KV bytes at two and four bytes an element."""
        widths = {"bf16": 2, "fp32": 4}
        kv = {f"kv_bytes_per_token_{k}": self.kv_bytes_per_token(n) for k, n in widths.items()}
        return asdict(self) | kv


def count(shape: DecoderConfig) -> Count:
    """Count a decoder, dense or with experts, with a solver or without.

    `flops_per_token` covers every matrix product with a weight that a token meets, head included,
    embedding lookup excluded; attention adds `attention_flops_per_token_per_context` for each
    token it looks at. Active are all parameters but those of the experts that a token does not go
    to. A tied embedding counts once. A solver multiplies the products of its layers; the
    sums of its mix are products with weights too.
    Source: ours. Oracle: tests/models/test_count.py::test_params_equal_numel, ::test_flops_equal
    """
    once = _count_once(shape)
    solver = shape.solver
    return once if solver is None else _with_solver(shape, solver, once)


def _with_solver(shape: DecoderConfig, solver: SolverConfig, once: Count) -> Count:
    """The same model with several evaluations a layer."""
    layers = range(shape.num_layers)
    evaluations = tuple(solver.num_evaluations(layer) for layer in layers)
    alone = [_layer_flops(shape, layer) for layer in layers]
    keys = 4 * shape.d_model * shape.num_kv_heads * shape.head_dim
    saved = keys * (sum(evaluations) - shape.num_layers) if solver.shared_kv else 0
    again = sum((num - 1) * flops for num, flops in zip(evaluations, alone, strict=True))
    own, mixed = _solver_params(shape, solver), solver.corrector == "mix"
    mixes = 2 * 2 * shape.d_model * sum(layer + 2 for layer in layers) if mixed else 0
    even = len(set(evaluations)) == 1
    return replace(
        once,
        num_params=once.num_params + own,
        num_active_params=once.num_active_params + own,
        flops_per_token=once.flops_per_token + again - saved + mixes,
        attention_flops_per_token_per_context=4
        * sum(evaluations)
        * shape.num_heads
        * shape.head_dim,
        kv_elements_per_token=2 * shape.num_places * shape.num_kv_heads * shape.head_dim,
        evaluations_per_layer=evaluations[0] if even else evaluations,
    )


def _layer_flops(shape: DecoderConfig, layer: int) -> int:
    """Products of one evaluation of a layer."""
    heads = 2 * (shape.num_heads + shape.num_kv_heads) * shape.head_dim
    sparse = shape.experts is not None and layer in shape.experts.layers
    rest = _sparse_layer(shape).active_products if sparse else _dense_layer(shape).products
    return 2 * (shape.d_model * heads + rest)


def _solver_params(shape: DecoderConfig, solver: SolverConfig) -> int:
    """What `SharedSolver` and the `LayerSolver`s hold."""
    layers, width = shape.num_layers, shape.d_model
    gammas = {"shared": 1, "layer": layers, "channel": layers * width}[solver.gamma_scope]
    total = gammas if solver.predictor == "ema" else 0
    total += layers * (solver.beta is not None) + (solver.corrector == "ema")
    total += solver.num_norms * 2 * width
    if solver.corrector == "mix":
        total += 2 * (layers + 1) ** 2 + 4 * layers * width
    return total


def _count_once(shape: DecoderConfig) -> Count:
    queries = shape.num_heads * shape.head_dim
    keys = shape.num_kv_heads * shape.head_dim
    biases = shape.qkv_bias * (queries + 2 * keys) + shape.out_bias * shape.d_model
    norms = 2 * shape.d_model + shape.qk_norm * 2 * shape.head_dim
    embedding = shape.vocab_size * shape.d_model
    heads = 1 if shape.tied else 2
    dense, sparse = _dense_layer(shape), _sparse_layer(shape)
    num_sparse = 0 if shape.experts is None else len(shape.experts.layers)
    num_dense = shape.num_layers - num_sparse
    attention = shape.d_model * (2 * queries + 2 * keys)
    shared = shape.num_layers * (attention + biases + norms) + shape.d_model + heads * embedding
    products = num_dense * dense.products + num_sparse * sparse.active_products
    return Count(
        num_params=shared + num_dense * dense.params + num_sparse * sparse.params,
        num_active_params=shared + num_dense * dense.params + num_sparse * sparse.active_products,
        num_embedding_params=embedding,
        flops_per_token=2 * (shape.num_layers * attention + products + embedding),
        attention_flops_per_token_per_context=4 * shape.num_layers * queries,
        kv_elements_per_token=2 * shape.num_layers * keys,
    )


@dataclass(frozen=True, kw_only=True)
class _FeedForward:
    """Parameters of one layer's feed-forward, those in products, and those a token meets."""

    params: int
    products: int
    active_products: int


def _dense_layer(shape: DecoderConfig) -> _FeedForward:
    products = 3 * shape.d_model * shape.d_ff
    biases = shape.mlp_bias * (2 * shape.d_ff + shape.d_model)
    return _FeedForward(params=products + biases, products=products, active_products=products)


def _sparse_layer(shape: DecoderConfig) -> _FeedForward:
    """No expert has a bias, so what a token meets is all in products."""
    experts = shape.experts
    if experts is None:
        return _FeedForward(params=0, products=0, active_products=0)
    expert = 3 * shape.d_model * experts.d_expert
    shared = (3 * shape.d_model * experts.d_shared + shape.d_model) if experts.d_shared else 0
    common = experts.num_experts * shape.d_model + shared
    total = common + experts.num_experts * expert
    active = common + experts.top_k * expert
    return _FeedForward(params=total, products=total, active_products=active)


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """The shape of a decoder for scaling laws: widths and counts, no weights.

    `num_dense_layers` have an MLP of `d_ff`; all others have `num_experts` of `expert_ff`, of
    which a token uses `top_k`, and a shared expert of `shared_ff`. `seq_tokens` is the context
    that attention is counted over.
    """

    d_model: int
    num_layers: int
    d_ff: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int = 0
    seq_tokens: int = 0
    tied: bool = True
    gated: bool = True
    num_dense_layers: int | None = None
    num_experts: int = 1
    top_k: int = 1
    expert_ff: int = 0
    shared_ff: int = 0

    @property
    def num_sparse_layers(self) -> int:
        """Layers whose MLP is a mixture of experts."""
        dense = self.num_layers if self.num_dense_layers is None else self.num_dense_layers
        return self.num_layers - dense

    @property
    def attention_params(self) -> int:
        """Query, key, value and output products of all layers."""
        heads = 2 * self.num_heads + 2 * self.num_kv_heads
        return self.num_layers * self.d_model * self.head_dim * heads

    def mlp_params(self, num_experts: int) -> int:
        """MLP products of all layers, with so many experts in each sparse one."""
        matrices = 3 if self.gated else 2
        dense = (self.num_layers - self.num_sparse_layers) * self.d_ff
        sparse = self.num_sparse_layers * (num_experts * self.expert_ff + self.shared_ff)
        return matrices * self.d_model * (dense + sparse)


@dataclass(frozen=True, kw_only=True)
class ConventionCount:
    """Active and stored parameters, and training FLOPs per token, under one convention."""

    n_active: int
    n_total: int
    flops_per_token: int


def count_under(shape: LayerShape, convention: str) -> ConventionCount:
    """Count a shape under one of `CONVENTIONS`; integers throughout, `deepseek` rounds down.

    Raises: InputError, for another name.
    Source: Step Law, arXiv 2503.04715 (non-embedding); Kaplan 2020; Hoffmann 2022, appendix F;
    DeepSeek LLM, arXiv 2401.02954.
    Oracle: tests/models/test_count.py::test_every_row_of_step_law, ::test_conventions_by_hand
    """
    if convention not in CONVENTIONS:
        rule = f"must be one of {', '.join(CONVENTIONS)}"
        raise InputError("convention", convention, rule, remedy="Name one of them")
    active = shape.attention_params + shape.mlp_params(shape.top_k)
    total = shape.attention_params + shape.mlp_params(shape.num_experts)
    width = shape.num_heads * shape.head_dim
    context = 12 * shape.num_layers * width * shape.seq_tokens
    flops = 6 * active + context
    head = shape.vocab_size * shape.d_model
    router = shape.num_sparse_layers * shape.d_model * shape.num_experts
    outside = (1 if shape.tied else 2) * head + (2 * shape.num_layers + 1) * shape.d_model
    found = {
        "non-embedding": (active, total, flops),
        "kaplan": (active, total, 6 * active),
        "deepseek": (flops // 6, flops // 6 + total - active, flops),
        "with-head": (active + head, total + head, flops + 6 * head),
        "with-router": (active + router, total + router, flops + 6 * router),
        "all": (active + router + outside, total + router + outside,
                6 * (active + router + outside)),
        "hoffmann": (active + router + outside, total + router + outside,
                     flops + 12 * head + 9 * shape.num_layers * shape.num_heads * shape.seq_tokens),
    }  # fmt: skip
    n_active, n_total, per_token = found[convention]
    return ConventionCount(n_active=n_active, n_total=n_total, flops_per_token=per_token)
