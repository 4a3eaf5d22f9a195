"""Widths of both halves for a number of parameters, and what a pair costs."""

from dataclasses import dataclass
from typing import Any

from burnish.arch.blocks import blocks
from burnish.arch.configs import make_config, num_layers, shape_config
from burnish.arch.network import draw_weights
from burnish.arch.plan import Shape
from burnish.arch.seq2seq.settings import Seq2SeqSettings
from burnish.arch.settings import parse_count
from burnish.base.errors import SettingError
from burnish.data.shards import Marks
from burnish.models.config import DecoderConfig, decoder_config
from burnish.models.count import count
from burnish.models.seq2seq import Seq2Seq

FFN_STEP = 8


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The shapes of encoder and decoder, which share a vocabulary."""

    encoder: Shape
    decoder: Shape

    @property
    def num_params(self) -> int:
        """All parameters; embedding and head are one matrix.

        Source: ours. Oracle: tests/arch/seq2seq/test_shapes.py::test_params_equal_numel
        """
        width, table = self.encoder.width, self.encoder.vocab * self.encoder.width
        crossing = self._decoder_layers * (4 * width * width + width)
        return self.encoder.num_params - table + self.decoder.num_params + crossing

    @property
    def _decoder_layers(self) -> int:
        return num_layers(self.decoder, blocks.parse(self.decoder.block))

    def forward_flops(self, num_source: int, num_target: int) -> int:
        """Products of one pair: all weights, and attention over sources and (full) targets.

        Source: ours. Oracle: tests/arch/seq2seq/test_shapes.py::test_flops_equal_torchs_counter
        """
        encoder, decoder = (count(shape_config(one)) for one in (self.encoder, self.decoder))
        width, vocab = self.encoder.width, self.encoder.vocab
        evaluations = decoder.attention_flops_per_token_per_context // (4 * width)
        own = (encoder.flops_per_token - 2 * width * vocab) * num_source
        own += encoder.attention_flops_per_token_per_context * num_source**2
        own += decoder.flops_per_token * num_target
        own += decoder.attention_flops_per_token_per_context * num_target**2
        own += evaluations * (4 * width**2 * num_target + 4 * width * num_target * num_source)
        return own + self._decoder_layers * 4 * width**2 * num_source


def choose_shapes(settings: Seq2SeqSettings, vocab: int) -> Shapes:
    """The feed-forward that comes nearest to `params`, the same for every block.

    Raises SettingError where the embedding and attention alone take more.
    Source: ours. Oracle: tests/arch/seq2seq/test_shapes.py::test_params_equal_numel
    """
    wanted, width = parse_count("params", settings.params), settings.width

    def made(ffn: int) -> Shapes:
        shared: dict[str, Any] = {"width": width, "ffn_width": ffn, "num_heads": settings.num_heads}
        shared |= {"num_kv_heads": settings.num_heads, "vocab": vocab}
        return Shapes(
            encoder=Shape(num_layers=settings.encoder_layers, block=settings.block, **shared),
            decoder=Shape(
                num_layers=settings.decoder_layers, block=settings.decoder_block, **shared
            ),
        )

    layers = settings.encoder_layers + settings.decoder_layers
    crossing = settings.decoder_layers * (4 * width * width + width)
    beside = layers * (4 * width * width + 2 * width) + crossing + vocab * width + 2 * width
    ffn = round((wanted - beside) / (3 * width * layers * FFN_STEP)) * FFN_STEP
    if ffn < FFN_STEP:
        rule = f"must leave room for feed-forwards: everything else has {beside:,}"
        remedy = "Raise params, or lower width, vocab or the layers"
        raise SettingError("params", settings.params, rule, remedy=remedy)
    return made(ffn)


def make_seq2seq(shapes: Shapes, end: int) -> Seq2Seq:
    """A model of these shapes; its weights are whatever torch leaves there."""
    configs = [_config(one, end) for one in (shapes.encoder, shapes.decoder)]
    encoder, decoder = (_known(one) for one in configs)
    return Seq2Seq(encoder, decoder, configs[1])


def new_seq2seq(shapes: Shapes, end: int) -> Seq2Seq:
    """As `make_seq2seq`, with random weights from torch's global random stream."""
    network = make_seq2seq(shapes, end)
    draw_weights(network.encoder, network.encoder_shape.num_layers)
    draw_weights(network.decoder, network.decoder.shape.num_layers)
    return network


def _config(shape: Shape, end: int) -> Any:
    return make_config(shape, context=1 << 20, marks=Marks(end=end))


def _known(config: Any) -> DecoderConfig:
    known = decoder_config(config)
    assert known is not None
    return known
