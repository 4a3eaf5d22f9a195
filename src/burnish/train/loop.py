"""The one training loop."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import IncompleteError, SettingError
from burnish.base.meter import Meter
from burnish.base.progress import track
from burnish.base.rng import derive_seed
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.train import lora
from burnish.train.checkpoint import load_checkpoint, save_checkpoint, seed_everything
from burnish.train.examples import Item, Pass, Step, plan_steps
from burnish.train.objective import Objective, supervised
from burnish.train.schedule import learning_rate
from burnish.train.settings import TrainSettings
from burnish.train.sharding import ShardedLayers, clip_gradients, is_part

Event = Callable[..., None]


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
    event: Event,
    meter: Meter,
    objective: Objective = supervised,
) -> Fitted:
    """Train `model` in place; killed and called again on the same folder it goes on exactly.

    Frozen weights stay in the model's dtype; what is trained is kept in fp32. The gradient of a
    step is the mean over all its terms (supervised: answer tokens; preferences: pairs), however
    many passes it took.
    Raises InputError without examples and IncompleteError when the loss stops being finite.
    Source: ours. Oracle: tests/train/test_loop.py::test_resumed_equals_straight
    """
    steps = plan_steps(examples, settings)
    seed_everything(derive_seed(settings.seed, "train"))
    trainer = _Trainer(model, settings, objective)
    path = folder / "training-state.pt"
    losses: list[float] = []
    if path.exists():
        losses = load_checkpoint(path, trainer.network, trainer.optimizer)["losses"]
        meter.add("trained_on", sum(_num_rows(step, examples) for step in steps[: len(losses)]))
        event("training_resumed", step=len(losses), num_steps=len(steps))
    with track(len(steps), "train", unit="step") as bar:
        bar.advance(len(losses))
        for index in range(len(losses), len(steps)):
            started = time.perf_counter()
            rate = learning_rate(settings, index, len(steps))
            loss, norm, terms = trainer.accumulate(steps[index], examples)
            _check_finite(loss, norm, index)
            trainer.update(rate)
            losses.append(loss)
            meter.add("trained_on", _num_rows(steps[index], examples))
            told = {"loss": loss, "grad_norm": norm, "learning_rate": rate, "num_terms": terms}
            event("train_step", step=index, **told, seconds=time.perf_counter() - started)
            bar.advance(1)
            if (index + 1) % settings.save_every_steps == 0 or index + 1 == len(steps):
                trainer.save(path, {"losses": losses})
    trainer.finish()
    return Fitted(
        wrapped=trainer.wrapped,
        losses=losses,
        num_steps=len(steps),
        num_tokens=sum(_num_answer_tokens(step, examples) for step in steps),
    )


def _num_rows(step: Step, examples: Sequence[Item]) -> int:
    return sum(len(examples[index]) for one in step for index in one)


def _num_answer_tokens(step: Step, examples: Sequence[Item]) -> int:
    return sum(examples[index].num_answer_tokens for one in step for index in one)


def _check_finite(loss: float, norm: float, index: int) -> None:
    if not (math.isfinite(loss) and math.isfinite(norm)):
        value, rule = f"{loss} (gradient norm {norm})", f"must stay finite (step {index})"
        remedy = "Lower learning_rate, or use --precision fp32"
        raise IncompleteError("training loss", value, rule, remedy=remedy)


class _Trainer:
    """Network, optimiser and accelerate's plumbing around one step."""

    def __init__(self, model: Model, settings: TrainSettings, objective: Objective) -> None:
        from accelerate import Accelerator

        self.settings, self.objective = settings, objective
        network = model.network.train()
        if isinstance(network, Decoder):
            network.unfuse()  # fused products would go on with the weights as they were
        if settings.method == "lora":
            self.wrapped = lora.attach(network, settings.lora)
        else:
            self.wrapped = None
            network.float().requires_grad_(True)
        self._autocast = settings.method == "full" and model.dtype == torch.bfloat16
        self._device = model.device
        if settings.gradient_checkpointing:
            _checkpoint_layers(network)
        self.network = network
        self.accelerator = Accelerator(cpu=model.device.type == "cpu")
        sharded = settings.sharding == "fsdp2"
        self._shards = ShardedLayers(network, model.device) if sharded else None
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        decay = settings.weight_decay
        optimizer = torch.optim.AdamW(
            _groups(network), lr=0.0, betas=settings.betas, weight_decay=decay, fused=True
        )
        self.optimizer = self.accelerator.prepare(optimizer)

    def accumulate(self, step: Step, examples: Sequence[Item]) -> tuple[float, float, int]:
        """The step's gradient, clipped; mean loss per term, gradient norm, number of terms.

        With several processes each takes its share of the passes, and gradients are summed.
        """
        num_terms = sum(examples[index].num_terms for one in step for index in one)
        total = torch.zeros((), device=self._device)
        for one, weight in self._share(step):
            with self._precision():
                items = [examples[index] for index in one]
                loss = self.objective(self.network, items, weight=weight)
            self.accelerator.backward(loss / num_terms)
            total += loss.detach()
        self._sum_over_processes(total)
        clip = self.accelerator.clip_grad_norm_ if self._shards is None else clip_gradients
        norm = clip(self.parameters, self.settings.max_grad_norm)
        return float(total) / num_terms, float(norm), num_terms

    def update(self, rate: float) -> None:
        """One step of the optimiser along the accumulated gradient."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Write the checkpoint, from one process; the others give their parts."""
        write = self.accelerator.is_main_process
        save_checkpoint(path, self.network, self.optimizer, state, write=write)

    def finish(self) -> None:
        """Leave an ordinary network."""
        if self._shards is not None:
            self._shards.gather()

    def _share(self, step: Step) -> list[tuple[Pass, float]]:
        """This process's passes of a step, and what each weighs.

        Sharded layers are gathered by all at once, so a process that has a pass less than the
        others repeats one with weight 0.
        """
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        own = [(one, 1.0) for one in step[rank::world]]
        if self._shards is not None and len(own) < math.ceil(len(step) / world):
            own.append((step[-1], 0.0))
        return own

    def _sum_over_processes(self, total: torch.Tensor) -> None:
        if self.accelerator.num_processes == 1:
            return
        for parameter in self.parameters:
            if is_part(parameter):
                continue  # summed in the backward pass
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
        torch.distributed.all_reduce(total)

    def _precision(self) -> Any:
        if self._autocast:
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        return nullcontext()


def _groups(network: Decoder | Adapter) -> list[dict[str, Any]]:
    """What is trained, layers apart: the fused optimiser takes parts of tensors or whole ones.

    They stand apart in any case, so that any number of processes takes up a checkpoint.
    """
    layers = network.model.layers.parameters() if isinstance(network, Decoder) else ()
    inside = {id(p) for p in layers}
    groups: list[list[torch.nn.Parameter]] = [[], []]
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups[id(parameter) in inside].append(parameter)
    return [{"params": some} for some in groups if some]


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
