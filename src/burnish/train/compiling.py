"""torch.compile for training, block by block: one compilation serves all layers."""

from torch import nn

from burnish.train.optimizers import repeated_blocks

BACKEND = "inductor"


def compile_blocks(network: nn.Module) -> list[nn.Module]:
    """Compile each repeated block in place, or the whole where there are none; returns these.

    Shapes are dynamic, because passes differ in length. Parameters and their names stay.
    Source: ours. Oracle: tests/train/test_compiling.py::test_compiled_equals_eager
    """
    blocks = list(repeated_blocks(network)) or [network]
    for block in blocks:
        block.compile(backend=BACKEND, dynamic=True)
    return blocks


def forget_compiled(blocks: list[nn.Module]) -> None:
    """Make blocks ordinary modules again."""
    for block in blocks:
        block._compiled_call_impl = None
