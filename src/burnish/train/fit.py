"""Fine-tune a model: adapters or all weights, on examples, with the one training loop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.base.rng import derive_seed
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.train import lora
from burnish.train.checkpoint import seed_everything
from burnish.train.examples import Item, plan_steps
from burnish.train.hooks import CountTokens, Hook
from burnish.train.loop import run_training
from burnish.train.objective import Objective, supervised
from burnish.train.settings import TrainSettings
from burnish.train.steps import example_steps
from burnish.train.trainer import Training

CHECKPOINT = "training-state.pt"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What training left: the network in place, peft's wrapper if any, and the curve."""

    wrapped: Any
    losses: list[float]  # mean over the step's terms; supervised: nats per answer token
    num_steps: int
    num_tokens: int  # answer tokens learned from, all epochs


def fit(
    model: Model,
    examples: Sequence[Item],
    settings: TrainSettings,
    *,
    folder: Path,
    hooks: Sequence[Hook] = (),
    meter: Meter,
    objective: Objective = supervised,
) -> Fitted:
    """Train `model` in place; repeated on the same folder, it resumes exactly.

    Frozen weights stay in the model's dtype; what is trained is kept in fp32. The gradient of a
    step is the mean over all its terms (supervised: answer tokens; preferences: pairs), however
    many passes it took.
    Raises InputError without examples and IncompleteError when the loss stops being finite.
    Source: ours. Oracle: tests/train/test_loop.py::test_resumed_equals_straight
    """
    steps = plan_steps(examples, settings)
    seed_everything(derive_seed(settings.seed, "train"))
    wrapped = make_trainable(model, settings)
    mixed = settings.method == "full" and model.dtype == torch.bfloat16
    training = Training(
        network=model.network,
        objective=objective,
        source=example_steps(examples, steps),
        optimizer=settings.make_optimizer(),
        schedule=settings.make_schedule(),
        max_grad_norm=settings.max_grad_norm,
        save_every_steps=settings.save_every_steps,
        autocast=torch.bfloat16 if mixed else None,
        compile=settings.compile,
        sharding=settings.sharding,
    )
    done = run_training(
        training, checkpoint=folder / CHECKPOINT, hooks=[CountTokens(meter), *hooks]
    )
    learned = [examples[i].num_answer_tokens for step in steps for one in step for i in one]
    return Fitted(
        wrapped=wrapped, losses=[*done.losses], num_steps=done.num_steps, num_tokens=sum(learned)
    )


def make_trainable(model: Model, settings: TrainSettings) -> Any:
    """Put adapters on a model's network, or all its weights in fp32; returns peft's wrapper.

    Draws the adapters' start from torch's global random stream.
    Source: ours. Oracle: tests/train/test_loop.py::test_full_training_keeps_fp32_masters
    """
    network = model.network.train()
    if isinstance(network, Decoder):
        network.unfuse()  # fused products would go on with the weights as they were
    wrapped = None
    if settings.method == "lora":
        wrapped = lora.attach(network, settings.lora)
    else:
        network.float().requires_grad_(True)
    if settings.gradient_checkpointing:
        _checkpoint_layers(network)
    return wrapped


def as_trained(model: Model) -> Model:
    """The model with the dtype that its weights have now: fp32 once all of them are trained.

    What runs it (a cache, say) goes by that dtype.
    Source: ours. Oracle: tests/prefer/test_training.py::test_evaluations_in_the_weights_dtype
    """
    return replace(model, dtype=next(model.network.parameters()).dtype)


def _checkpoint_layers(network: Decoder | Adapter) -> None:
    """Compute layers again in the backward pass instead of keeping what they held."""
    if isinstance(network, Decoder):
        network.model.checkpointing = True
        return
    inner = network.network
    new = getattr(inner, "activation_checkpointing_enable", None)  # its name in later versions
    try:
        (new or inner.gradient_checkpointing_enable)({"use_reentrant": False})
    except ValueError as error:
        rule, remedy = "is not supported by this model's class", "Leave it out"
        raise SettingError("gradient_checkpointing", True, rule, remedy=remedy) from error
