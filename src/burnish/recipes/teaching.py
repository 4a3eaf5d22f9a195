"""Fine-tune a copy of the model on selected answers, and save it as a Hugging Face folder."""

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.contracts.record import Record
from burnish.data.chat import render_example
from burnish.distrib.rank import is_main
from burnish.models.adapters import Adapter
from burnish.models.handle import ModelHandle
from burnish.models.load import Model, load_model
from burnish.models.precision import trainable_precision
from burnish.models.save import save_model
from burnish.train import lora
from burnish.train.examples import Example
from burnish.train.fit import CHECKPOINT, Fitted, fit
from burnish.train.hooks import Tell
from burnish.train.settings import TrainSettings


def to_examples(model: Model, records: Sequence[Record]) -> list[Example]:
    """The conversations to learn, under the model's own chat template."""
    examples = []
    for record in records:
        prompt, answer = render_example(model.tokenizer, record.prompt, record.answer)
        examples.append(Example(id=record.id, prompt=tuple(prompt), answer=tuple(answer)))
    return examples


ToExamples = Callable[[Model, Sequence[Any]], list[Example]]


def teach(
    stage: Stage,
    actor: ModelHandle,
    records: Sequence[Any],
    settings: TrainSettings,
    meter: Meter,
    to_examples: ToExamples = to_examples,
) -> dict[str, Any]:
    """Train on the records and save `model/`; the base model itself is not changed.

    `to_examples` says which tokens of a record are learned: by default its whole answer.
    Raises IncompleteError where there is nothing to learn from.
    """
    if not records:
        raise IncompleteError(
            "training set",
            0,
            "must hold a right answer, and none of the samples was right",
            remedy="Use easier tasks, more samples (--set sample.num_samples=16) or a larger model",
        )
    precision = trainable_precision(actor.precision)
    model = load_model(actor.spec, precision=precision, device=actor.device)
    actor.release()
    examples = to_examples(model, records)
    longest = max(examples, key=len)
    if len(longest) > settings.pass_tokens:
        settings = type(settings)(**{**vars(settings), "pass_tokens": len(longest)})
    hooks = [Tell(stage.event)]
    fitted = fit(model, examples, settings, folder=stage.path, hooks=hooks, meter=meter)
    save_trained(stage, model, fitted)
    return {
        "num_examples": len(examples),
        "num_steps": fitted.num_steps,
        "answer_tokens": fitted.num_tokens,
        "losses": fitted.losses,
    }


def save_trained(stage: Stage, model: Model, fitted: Fitted) -> None:
    """Write `model/` in the first process, and forget what only an unfinished stage needs.

    Source: ours. Oracle: tests/recipes/test_preferring.py::test_killed_while_saving_goes_on
    """
    for left in stage.path.glob(".saving-*"):  # by an attempt that was killed while it saved
        shutil.rmtree(left)
    if is_main():
        save_model(merged(model, fitted), stage.path / "model")
    (stage.path / CHECKPOINT).unlink(missing_ok=True)  # the others' may have none


def merged(model: Model, fitted: Fitted) -> Model:
    """The trained model without wrappers; adapters are folded in before rounding to its dtype.

    Source: ours. Oracle: tests/recipes/test_teaching.py::test_merged_equals_adapted
    """
    if fitted.wrapped is None:
        network = model.network.to(model.dtype)
        return Model(**{**vars(model), "network": network.eval()})
    changes = lora.deltas(fitted.wrapped)
    exact = load_model(str(model.folder), precision="fp32", device=str(model.device))
    module = exact.network.network if isinstance(exact.network, Adapter) else exact.network
    prefix = "network." if isinstance(exact.network, Adapter) else ""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if prefix + name in changes:
                parameter.add_(changes[prefix + name])
    if isinstance(exact.network, Adapter):
        network: Any = exact.network.to(model.dtype)
    else:
        exact.network.unfuse()
        network = exact.network.to(model.dtype)
        network.tie_weights()
    return Model(**{**vars(exact), "network": network, "dtype": model.dtype})
