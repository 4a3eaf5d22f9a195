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
    """Count a dense decoder.

    `flops_per_token` covers every matrix product with a weight, head included, embedding lookup
    excluded; attention adds `attention_flops_per_token_per_context` for each token it looks at.
    A dense model is all active; a tied embedding counts once.
    Source: ours. Oracle: tests/models/test_count.py::test_params_equal_numel, ::test_flops_equal
    """
    queries = shape.num_heads * shape.head_dim
    keys = shape.num_kv_heads * shape.head_dim
    products = shape.d_model * (2 * queries + 2 * keys) + 3 * shape.d_model * shape.d_ff
    biases = (
        shape.qkv_bias * (queries + 2 * keys)
        + shape.out_bias * shape.d_model
        + shape.mlp_bias * (2 * shape.d_ff + shape.d_model)
    )
    norms = 2 * shape.d_model + shape.qk_norm * 2 * shape.head_dim
    embedding = shape.vocab_size * shape.d_model
    heads = 1 if shape.tied else 2
    layers = shape.num_layers * (products + biases + norms)
    num_params = layers + shape.d_model + heads * embedding
    return Count(
        num_params=num_params,
        num_active_params=num_params,
        num_embedding_params=embedding,
        flops_per_token=2 * (shape.num_layers * products + embedding),
        attention_flops_per_token_per_context=4 * shape.num_layers * queries,
        kv_elements_per_token=2 * shape.num_layers * keys,
    )
