"""What is saved after training computes as what was trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import texts
from fixtures.training import FULL, SETTINGS, fresh, train

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.contracts.generation import ScoreRequest
from burnish.contracts.record import Record
from burnish.engine.score import score
from burnish.models.handle import ModelHandle
from burnish.models.load import Model, load_model
from burnish.recipes import teaching
from burnish.recipes.steps.measure import ANSWER, PROMPT_TOKENS
from burnish.recipes.steps.teach import TeachStep
from burnish.recipes.teaching import merged, teach
from burnish.train.fit import Fitted
from burnish.train.settings import LoraSettings

ADAPTERS = replace(SETTINGS, lora=LoraSettings(rank=3, alpha=7.0), learning_rate=3e-2)


def test_what_training_costs() -> None:
    """In fp32 four numbers a weight: itself, its gradient, two moments; adapters: bf16."""
    items = {"params": 1000, "picked": 7, ANSWER: 30}
    found = {}
    for method in ("full", "lora"):
        train = replace(SETTINGS, method=method, epochs=3)
        step = TeachStep(name="teach-1", selected="picked", train=train, precision="fp32")
        found[method] = step.cost(items)
        assert found[method].trained_tokens == 7 * (PROMPT_TOKENS + 30) * 3
        assert found[method].disk_bytes == 1000 * 4
    assert found["full"].memory_bytes == 1000 * 4 * 4 + 2e9
    assert found["lora"].memory_bytes == 1000 * 2 * 2 + 2e9


def logprobs(model: Model) -> torch.Tensor:
    """Of a few random texts, token by token."""
    requests = [
        ScoreRequest(id=str(i), prompt=tuple(text[:2]), completion=tuple(text[2:]))
        for i, text in enumerate(texts([9, 17, 5]))
    ]
    return torch.tensor([x for scored in score(model, requests) for x in scored.logprobs])


def check_merged(merge: Callable[[Model, Fitted], Model], source: Path, folder: Path) -> None:
    before = logprobs(fresh(source))
    model = fresh(source)
    fitted = train(model, folder, ADAPTERS)
    model.network.eval()
    adapted = logprobs(model)
    assert (adapted - before).abs().max() > 0.1
    alone = merge(model, fitted)
    torch.testing.assert_close(logprobs(alone), adapted, atol=1e-4, rtol=1e-4)
    assert not any("lora" in name for name in alone.network.state_dict())


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_merged_equals_adapted(family: str, tiny_folder: Any, tmp_path: Path) -> None:
    check_merged(merged, tiny_folder(family), tmp_path)


def test_planted_merge_without_scale(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = teaching.lora.deltas
    monkeypatch.setattr(
        teaching.lora, "deltas", lambda wrapped: {k: v * 3 / 7 for k, v in exact(wrapped).items()}
    )
    with pytest.raises(AssertionError):
        check_merged(merged, tiny_folder("llama"), tmp_path)


def test_planted_merge_of_nothing(tiny_folder: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_merged(lambda model, _: fresh(model.folder), tiny_folder("llama"), tmp_path)


def teach_at(path: Path, source: Path, settings: Any, records: list[Record]) -> dict[str, Any]:
    path.mkdir(exist_ok=True)
    stage = Stage(name="teach-1", path=path, resumed=False, record=lambda kind, **named: None)
    actor = ModelHandle(str(source), precision="fp32", device="cpu")
    return teach(stage, actor, records, settings, Meter())


def records_of(num: int) -> list[Record]:
    return [
        Record(id=str(i), task_id=str(i), group="g", prompt=f"p{i}", answer=f"{i} is it", tokens=1)
        for i in range(num)
    ]


@pytest.mark.parametrize("settings", [ADAPTERS, FULL], ids=["lora", "full"])
def test_saved_model_loads_in_transformers(settings: Any, tiny_folder: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    output = teach_at(tmp_path / "t", tiny_folder("llama"), settings, records_of(5))
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["model"]
    assert output["num_examples"] == 5 and len(output["losses"]) == output["num_steps"] == 4
    assert output["losses"][-1] < output["losses"][0]
    model = load_model(str(tmp_path / "t" / "model"), precision="fp32", device="cpu")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "t" / "model", dtype=torch.float32)
    text = texts([20])[0]
    with torch.no_grad():
        wanted = theirs.eval()(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
    request = ScoreRequest(id="x", prompt=tuple(text[:1]), completion=tuple(text[1:]))
    found = torch.tensor(score(model, [request])[0].logprobs)
    torch.testing.assert_close(found, wanted[range(19), text[1:]], atol=1e-4, rtol=1e-4)


def test_answers_longer_than_a_pass_are_learned(tiny_folder: Any, tmp_path: Path) -> None:
    long = replace(records_of(1)[0], answer="so " * 60)
    for number, records in enumerate(([long], [*records_of(3), long])):
        taught = teach_at(tmp_path / f"t{number}", tiny_folder("llama"), ADAPTERS, records)
        assert taught["num_examples"] == len(records)


def test_nothing_to_learn_from(tiny_folder: Any, tmp_path: Path) -> None:
    with pytest.raises(IncompleteError, match="none of the samples was right, got 0") as caught:
        teach_at(tmp_path / "t", tiny_folder("llama"), ADAPTERS, [])
    assert caught.value.exit_code == 1
    assert list((tmp_path / "t").iterdir()) == []


def test_left_overs_of_a_killed_save_go(tiny_folder: Any, tmp_path: Path) -> None:
    (tmp_path / "t" / ".saving-x" / "model").mkdir(parents=True)
    (tmp_path / "t" / ".saving-x" / "model" / "model.safetensors").write_bytes(b"half")
    teach_at(tmp_path / "t", tiny_folder("llama"), ADAPTERS, records_of(3))
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["model"]
