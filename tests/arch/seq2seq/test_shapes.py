"""Parameters and FLOPs against the network itself and torch's counter."""

from typing import Any

import pytest
import torch
from fixtures.translating import BLOCKS, END, tiny_network, tiny_shapes

from burnish.arch.seq2seq.forward import TokenPair, nats_of
from burnish.arch.seq2seq.settings import Seq2SeqSettings
from burnish.arch.seq2seq.shapes import choose_shapes, new_seq2seq
from burnish.base.errors import SettingError
from burnish.models.seq2seq import Memory


@pytest.mark.parametrize("block", [*BLOCKS, "dense:times=3"])
def test_params_equal_numel(block: str) -> None:
    settings = Seq2SeqSettings(pairs="x", params="200k", width=28, num_heads=2, block=block,
                               encoder_layers=2, decoder_layers=3)  # fmt: skip
    shapes = choose_shapes(settings, 307)
    network = new_seq2seq(shapes, END)
    assert shapes.num_params == sum(p.numel() for p in network.parameters())
    if block == "dense":
        assert shapes.num_params == pytest.approx(200_000, rel=0.02)
    decoded = tiny_shapes(block)
    network = new_seq2seq(decoded, END)
    assert decoded.num_params == sum(p.numel() for p in network.parameters())


def check_flops(block: str) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    shapes, network = tiny_shapes(block), tiny_network(block)
    pair = TokenPair(source=(4,) * 6, target=(5,) * 4)
    with FlopCounterMode(display=False) as seen, sdpa_kernel(SDPBackend.MATH):
        nats_of(network, [pair], end=END)
    assert shapes.forward_flops(7, 5) == seen.get_total_flops()


@pytest.mark.parametrize("block", BLOCKS[:2])
def test_flops_equal_torchs_counter(block: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("burnish.kernels.ops.usable", lambda *tensors: False)
    check_flops(block)


def test_planted_memory_that_keeps_nothing(monkeypatch: Any) -> None:
    """Keys and values of the sources made again in each evaluation."""
    monkeypatch.setattr("burnish.kernels.ops.usable", lambda *tensors: False)
    monkeypatch.setattr(Memory, "read", lambda self, layer, make: make(self.rows))
    check_flops(BLOCKS[0])
    with pytest.raises(AssertionError):
        check_flops(BLOCKS[1])


def test_too_few_parameters() -> None:
    with pytest.raises(SettingError, match="must leave room for feed-forwards"):
        choose_shapes(Seq2SeqSettings(pairs="x", params="100k"), 300)
    wrong: list[dict[str, Any]] = [{"block": "moe:experts=2"}, {"width": 10, "num_heads": 3},
             {"epochs": 0}, {"steps": 0}, {"dropout": 1.0}, {"heldout_frac": 0.0},
             {"params": "many"}, {"label_smoothing": -0.1}]  # fmt: skip
    for given in wrong:
        with pytest.raises(SettingError):
            Seq2SeqSettings(pairs="x", **given)


def test_weights_are_those_of_the_seed() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(5)
        networks.append(new_seq2seq(tiny_shapes(), END))
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(one, other)
