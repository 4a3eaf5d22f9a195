"""`dense`: the ordinary layer of a Llama."""

from dataclasses import dataclass

from burnish.arch.blocks import blocks
from burnish.base.errors import SettingError


@blocks.register("dense")
@dataclass(frozen=True, kw_only=True)
class DenseBlock:
    """Attention and one feed-forward; `times` as many layers as the size says.

    More layers make a model of more parameters, for comparisons at equal FLOPs.
    Source: arXiv 2302.13971. Oracle: tests/arch/test_network.py::test_blocks_have_their_parameters
    """

    times: int = 1

    def __post_init__(self) -> None:
        if self.times < 1:
            raise SettingError("times", self.times, "must be at least 1", remedy="Use 1")
