"""Low-rank adapters through peft: attach, and fold into full-precision weights."""

import contextlib
import re
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from burnish.base.errors import SettingError
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.train.settings import LoraSettings


def attach(network: Decoder | Adapter, settings: LoraSettings) -> Any:
    """Freeze the network and put fp32 adapters on its linear layers; returns peft's wrapper.

    In a mixture of experts they are on attention and on every expert; routers, shared experts and
    dense layers stay as they are. Raises SettingError for dropout there, which peft cannot do.
    The network itself then computes with the adapters; the wrapper saves and merges them.
    """
    from peft import LoraConfig, get_peft_model

    if isinstance(network, Decoder):
        network.unfuse()
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType] - PEFT only divides it
        lora_dropout=settings.dropout,
        target_modules=_targets(network),
        target_parameters=_expert_targets(network, settings),
        fan_in_fan_out=any(_is_conv1d(module) for module in network.modules()),
        task_type=None,
    )
    wrapped = get_peft_model(network, config)
    for parameter in _trainable(wrapped):
        parameter.data = parameter.data.float()
    return wrapped


@contextlib.contextmanager
def adapters_off(network: Decoder | Adapter) -> Generator[None, None, None]:
    """Let a network with adapters compute as it did without them, inside the block.

    Source: peft's `disable_adapter`, which asks for the wrapper; an objective has the network.
    Oracle: tests/train/test_lora.py::test_adapters_off
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def deltas(wrapped: Any) -> dict[str, Tensor]:
    """The change of each adapted weight, in fp32, under the weight's own name.

    Source: LoRA, arXiv 2106.09685, eq. 3. Oracle: tests/train/test_lora.py::test_deltas
    """
    found = {}
    for name, module in wrapped.base_model.model.named_modules():
        if hasattr(module, "get_delta_weight"):
            stacked = getattr(module, "parameter_name", None)  # of experts; wrappers are nested
            place = name.removesuffix(".base_layer") if stacked else name
            found[f"{place}.{stacked or 'weight'}"] = (
                module.get_delta_weight("default").detach().float()
            )
    return found


def _trainable(module: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in module.parameters() if parameter.requires_grad)


def _targets(network: Decoder | Adapter) -> list[str] | str:
    """Linear layers of the blocks, but for those that are read past; the head stays as it is."""
    if isinstance(network, Decoder):
        attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
        dense = network.shape.experts is None
        return [*attention, "gate_proj", "up_proj", "down_proj"] if dense else attention
    head = network.network.get_output_embeddings()
    names = {
        name.rsplit(".", 1)[-1]
        for name, module in network.named_modules()
        if module is not head and (isinstance(module, nn.Linear) or _is_conv1d(module))
    }
    names -= {name for module in network.modules() for name in _read_past(module)}
    return rf".*\.({'|'.join(sorted(map(re.escape, names)))})"


def _expert_targets(network: Decoder | Adapter, settings: LoraSettings) -> list[str] | None:
    """Stacked weights of experts, which are no layers of their own."""
    if not isinstance(network, Decoder) or network.shape.experts is None:
        return None
    if settings.dropout:
        rule = "must be 0 for a mixture of experts"
        raise SettingError("lora.dropout", settings.dropout, rule, remedy="Set lora.dropout=0")
    return ["experts.gate_up_proj", "experts.down_proj"]


def _read_past(module: nn.Module) -> set[str]:
    """Layers that a state-space mixer does not call: its kernels take their weights as they are."""
    return {"x_proj", "dt_proj", "out_proj"} if hasattr(module, "A_log") else set()


def _is_conv1d(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D" and isinstance(
        getattr(module, "weight", None), torch.Tensor
    )
