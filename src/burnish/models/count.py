"""How large a model is and what a token costs: integers, from the shape alone."""

from dataclasses import asdict, dataclass

from burnish.models.config import DecoderConfig


@dataclass(frozen=True, kw_only=True)
class Count:
    """Parameters, and forward cost per token. One multiply-add is two FLOPs."""

    num_params: int
    num_active_params: int
    num_embedding_params: int
    flops_per_token: int
    attention_flops_per_token_per_context: int
    kv_elements_per_token: int

    def kv_bytes_per_token(self, bytes_per_element: int) -> int:
        """Bytes to store one token's keys and values in all layers."""
        return self.kv_elements_per_token * bytes_per_element

    def to_dict(self) -> dict[str, int]:
        """All counts, with the KV bytes at two and four bytes an element."""
        widths = {"bf16": 2, "fp32": 4}
        kv = {f"kv_bytes_per_token_{k}": self.kv_bytes_per_token(n) for k, n in widths.items()}
        return asdict(self) | kv


def count(shape: DecoderConfig) -> Count:
    """Count a decoder, dense or with experts.

    `flops_per_token` covers every matrix product with a weight that a token meets, head included,
    embedding lookup excluded; attention adds `attention_flops_per_token_per_context` for each
    token it looks at. Active are all parameters but those of the experts that a token does not go
    to. A tied embedding counts once.
    Source: ours. Oracle: tests/models/test_count.py::test_params_equal_numel, ::test_flops_equal
    """
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
