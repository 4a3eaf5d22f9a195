"""Against TRL's DPOTrainer (0.29 or later), on the same tiny model and pairs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import fresh

from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, PairLosses, dpo, ld_dpo
from burnish.prefer.pairs import Pair, all_lengths
from burnish.prefer.reference import FrozenCopy

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("default"),  # the peer's own
]


def trainer_of(folder: Path, place: Path, *, alpha: float | None, precompute: bool = False) -> Any:
    """TRL's trainer of the tiny model; its data are given to `compute_loss` by hand."""
    trl = pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rows = [{"prompt": "a", "chosen": " b", "rejected": " c d"}] * 2
    config = trl.DPOConfig(
        output_dir=str(place),
        ld_alpha=alpha,
        beta=0.1,
        max_length=None,
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_dropout=True,
    )
    model, reference = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for _ in range(2)
    )
    with torch.no_grad():
        moved(model)
    return trl.DPOTrainer(
        model=model,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )


def moved(network: Any) -> None:
    """Leave the reference a little, the same way in both libraries."""
    source = torch.Generator().manual_seed(8)
    for name, parameter in sorted(network.named_parameters()):
        if name != "lm_head.weight":  # tied here, and counted once
            parameter.add_(torch.randn(parameter.shape, generator=source) * 0.02)


def padded(pairs: list[Pair]) -> dict[str, torch.Tensor]:
    """Chosen texts, then rejected ones, padded on the right as TRL's collator does."""
    texts = [(p.prompt, p.chosen) for p in pairs] + [(p.prompt, p.rejected) for p in pairs]
    width = max(len(prompt) + len(answer) for prompt, answer in texts)
    rows: dict[str, list[list[int]]] = {
        "input_ids": [],
        "attention_mask": [],
        "completion_mask": [],
    }
    for prompt, answer in texts:
        padding = [0] * (width - len(prompt) - len(answer))
        rows["input_ids"].append([*prompt, *answer, *padding])
        rows["attention_mask"].append([1] * (len(prompt) + len(answer)) + padding)
        rows["completion_mask"].append([0] * len(prompt) + [1] * len(answer) + padding)
    return {name: torch.tensor(value) for name, value in rows.items()}


def ours(folder: Path, pairs: list[Pair], alpha: float | None) -> PairLosses:
    model = fresh(folder)
    reference = FrozenCopy(model.network)
    with torch.no_grad():
        moved(model.network)
        batch = Batch(
            policy=answer_logprobs(model.network, pairs),
            reference=reference(model.network, pairs),
            lengths=all_lengths(pairs),
        )
    return dpo(batch) if alpha is None else ld_dpo(batch, alpha=alpha)


@pytest.mark.parametrize("alpha", [None, 1.0, 0.5, 0.0])
def test_agrees_with_trl(
    alpha: float | None, tiny_folder: Any, tmp_path: Path, pairs: list[Pair]
) -> None:
    """Padded batches with the reference weighted like the policy: TRL's since 0.29."""
    folder = tiny_folder("llama")
    trainer = trainer_of(folder, tmp_path, alpha=alpha)
    with torch.no_grad():
        theirs = trainer.compute_loss(trainer.model, padded(pairs))
    found = ours(folder, pairs, alpha)
    assert float(theirs) == pytest.approx(float(found.losses.mean()), abs=1e-4)
    assert float(found.margins.abs().max()) > 0.05  # the policy has left the reference


def test_planted_other_alpha(tiny_folder: Any, tmp_path: Path, pairs: list[Pair]) -> None:
    folder = tiny_folder("llama")
    trainer = trainer_of(folder, tmp_path, alpha=0.5)
    with torch.no_grad():
        theirs = trainer.compute_loss(trainer.model, padded(pairs))
    assert float(theirs) != pytest.approx(float(ours(folder, pairs, 0.0).losses.mean()), abs=1e-4)
