"""The reference model's log-probabilities: adapters off, a frozen copy, or a cache of all tokens.

All three are called alike, `reference(network, pairs)`, and none gives a gradient.
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.base.canonical import content_hash
from burnish.base.errors import IncompleteError, InputError
from burnish.base.files import atomic_write
from burnish.base.meter import Meter
from burnish.base.progress import track
from burnish.data.packing import fill_passes
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.pairs import Pair
from burnish.train.lora import adapters_off

SHARD_PAIRS = 64  # lost at most, where a pass over many pairs is killed


@runtime_checkable
class Reference(Protocol):
    """Gives the reference's log-probabilities for a pass, in the order of `answer_logprobs`."""

    def __call__(self, network: Decoder | Adapter, pairs: Sequence[Pair]) -> Float[Tensor, " R"]:
        """Log-probabilities [nats], without a gradient."""
        ...


@torch.no_grad()
def adapter_off(network: Decoder | Adapter, pairs: Sequence[Pair]) -> Float[Tensor, " R"]:
    """The policy's own network, its adapters and dropout off: LoRA needs no second model.

    Source: peft's `disable_adapter`. Oracle: tests/prefer/test_reference.py::test_three_references
    """
    training = network.training
    network.eval()
    with adapters_off(network):
        found = answer_logprobs(network, pairs)
    network.train(training)
    return found


class FrozenCopy:
    """A frozen copy of the network, made at construction.

    Source: ours. Oracle: tests/prefer/test_reference.py::test_three_references
    """

    def __init__(self, network: Decoder | Adapter) -> None:
        if isinstance(network, Decoder):
            network.unfuse()  # fused weights are views that a copy would not share
        self._network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, network: Decoder | Adapter, pairs: Sequence[Pair]) -> Float[Tensor, " R"]:
        """Log-probabilities under the copy; `network` is not used."""
        return answer_logprobs(self._network, pairs)


class ReferenceCache:
    """Ragged per-token log-probabilities on disk, by the content of weights and pair.

    Nothing else is in the key: not alpha, beta, the loss, the batch, the order or a file's name.
    So one pass serves every run on these pairs; 4 bytes per token.
    Source: ours. Oracle: tests/prefer/test_reference.py::test_cache_serves_every_setting
    """

    def __init__(self, folder: Path, network: Decoder | Adapter) -> None:
        self._key = weights_key(network)
        self._folder = folder / f"reference-{self._key[:16]}"
        self._found: dict[str, Tensor] = {}
        for path in sorted(self._folder.glob("*.safetensors")):
            self._found |= _read_shard(path)

    def fill(
        self,
        network: Decoder | Adapter,
        pairs: Sequence[Pair],
        *,
        pass_tokens: int = 2048,
        meter: Meter | None = None,
    ) -> int:
        """Compute what is missing, in shards that are kept as they end; returns how many pairs.

        Raises: IncompleteError, naming the row, where a log-probability is not finite; InputError,
        where `network` is not the one that the cache was opened for.
        """
        missing = list({p.key: p for p in pairs if p.key not in self._found}.values())
        if not missing:
            return 0
        if weights_key(network) != self._key:
            rule, remedy = "must be the reference itself", "Fill the cache before training"
            raise InputError("network", type(network).__name__, rule, remedy=remedy)
        meter = meter or Meter()
        with track(len(missing), "reference", unit="pair") as bar:
            for start in range(0, len(missing), SHARD_PAIRS):
                some = missing[start : start + SHARD_PAIRS]
                shard: dict[str, Tensor] = {}
                for one in passes(some, pass_tokens):
                    with torch.no_grad():
                        shard |= _by_pair(answer_logprobs(network, one), one)
                    meter.add("scored", sum(pair.num_answer_tokens for pair in one))
                    meter.add("passes", 1)
                    bar.advance(len(one))
                _write_shard(self._folder, shard)
                self._found |= shard
        return len(missing)

    def __call__(self, network: Decoder | Adapter, pairs: Sequence[Pair]) -> Float[Tensor, " R"]:
        """What was computed before. Raises: InputError, for a pair that `fill` has not seen."""
        for pair in pairs:
            if pair.key not in self._found:
                remedy = "Call `fill` with all pairs first"
                rule = "has no reference log-probabilities in the cache"
                raise InputError(f"row {pair.row}", pair.lengths, rule, remedy=remedy)
        weight = next(network.parameters())
        return torch.cat([self._found[pair.key] for pair in pairs]).to(weight.device)


def passes(pairs: Sequence[Pair], pass_tokens: int) -> Iterator[list[Pair]]:
    """Pairs in passes of at most `pass_tokens` rows; a longer pair has a pass of its own."""
    return fill_passes(pairs, pass_tokens, rows_of=len)


def weights_key(network: Decoder | Adapter) -> str:
    """sha256 [hex] of every parameter's name, type, shape and bits."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        bits = parameter.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(bits.numpy().data)
    return digest.hexdigest()


def _by_pair(values: Tensor, pairs: Sequence[Pair]) -> dict[str, Tensor]:
    parts = values.float().cpu().split([pair.num_answer_tokens for pair in pairs])
    for pair, part in zip(pairs, parts, strict=True):
        if not bool(part.isfinite().all()):
            rule = f"must be finite (row {pair.row})"
            remedy = "Check the reference model, or use --precision fp32"
            value = float(part[~part.isfinite()][0])
            raise IncompleteError("reference log-probability", value, rule, remedy=remedy)
    return {pair.key: part.clone() for pair, part in zip(pairs, parts, strict=True)}


def _write_shard(folder: Path, shard: dict[str, Tensor]) -> None:
    from safetensors.torch import save

    keys = list(shard)
    content = {"logprobs": torch.cat([shard[key] for key in keys])}
    sizes = [len(shard[key]) for key in keys]
    labels = {"keys": json.dumps(keys), "sizes": json.dumps(sizes)}
    with atomic_write(folder / f"{content_hash(keys)[:16]}.safetensors", "wb") as file:
        file.write(save(content, metadata=labels))


def _read_shard(path: Path) -> dict[str, Tensor]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        labels, values = file.metadata(), file.get_tensor("logprobs")
    parts = values.split(json.loads(labels["sizes"]))
    return dict(zip(json.loads(labels["keys"]), parts, strict=True))
