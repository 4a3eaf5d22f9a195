"""The training loop against a loop written out by hand, and against itself stopped and split."""

import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import (
    FULL,
    SETTINGS,
    check_two_processes,
    finished,
    fresh,
    make_examples,
    start,
    train,
    weights,
)

from burnish.base.errors import IncompleteError, InputError
from burnish.base.meter import Meter
from burnish.base.rng import derive_seed
from burnish.train import loop as loop_module
from burnish.train import trainer as trainer_module
from burnish.train.checkpoint import seed_everything
from burnish.train.examples import Example, plan_steps
from burnish.train.fit import make_trainable
from burnish.train.hooks import Gradients, Hook, TrainingProgress
from burnish.train.loop import run_training
from burnish.train.objective import supervised
from burnish.train.optim import AdamW
from burnish.train.schedule import WSD, Constant
from burnish.train.settings import LoraSettings, TrainSettings
from burnish.train.steps import Batch, StreamedSteps
from burnish.train.trainer import Accumulated, Training

PLAIN = replace(SETTINGS, lora=LoraSettings(rank=3, alpha=7.0))


def expect_red(check: Callable[[], None]) -> None:
    with pytest.raises(AssertionError):
        check()


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """The same parameters, bit for bit."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


# --- against a loop by hand ---------------------------------------------------------------------


def by_hand(reference: Any, settings: TrainSettings) -> tuple[list[float], list[float]]:
    """AdamW with clipping over transformers' model, text by text; losses and gradient norms."""
    examples, (first, second) = make_examples(), settings.betas
    steps = plan_steps(examples, settings)
    parameters = list(reference.parameters())
    means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    losses, norms = [], []
    for index, step in enumerate(steps):
        chosen = [examples[i] for one in step for i in one]
        num_tokens = sum(len(e.answer) for e in chosen)
        loss = torch.zeros(())
        for example in chosen:
            logits = reference(input_ids=torch.tensor([[*example.prompt, *example.answer]])).logits
            rows = logits[0, len(example.prompt) - 1 : -1].log_softmax(-1)
            loss = loss - rows[torch.arange(len(rows)), list(example.answer)].sum() / num_tokens
        gradients = torch.autograd.grad(loss, parameters)
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        losses.append(float(loss.detach()))
        norms.append(norm)
        rate = settings.make_schedule().rate(settings.learning_rate, index, len(steps))
        with torch.no_grad():
            for p, g, m, s in zip(parameters, gradients, means, squares, strict=True):
                g = g * min(1.0, settings.max_grad_norm / norm)
                m.mul_(first).add_(g, alpha=1 - first)
                s.mul_(second).add_(g * g, alpha=1 - second)
                p.mul_(1 - rate * settings.weight_decay)
                speed = (s / (1 - second ** (index + 1))).sqrt() + 1e-8
                p.sub_(rate * (m / (1 - first ** (index + 1))) / speed)
    return losses, norms


def check_by_hand(source: Path, folder: Path, settings: TrainSettings = FULL) -> None:
    from transformers import AutoModelForCausalLM

    settings = replace(settings, weight_decay=0.3, max_grad_norm=5.0)
    reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    losses, norms = by_hand(reference, settings)
    assert max(norms) > 5.0  # clipping has something to do
    model, told = fresh(source), []
    fitted = train(model, folder, settings, event=lambda kind, **named: told.append(named))
    assert fitted.losses == pytest.approx(losses, rel=1e-4)
    assert [named["grad_norm"] for named in told] == pytest.approx(norms, rel=1e-3)
    found, wanted = weights(model), dict(reference.named_parameters())
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral"])
def test_full_training_by_hand(family: str, tiny_folder: Any, tmp_path: Path) -> None:
    check_by_hand(tiny_folder(family), tmp_path)


@pytest.mark.parametrize("ignored", ["clip", "decay", "rate", "betas"])
def test_planted_setting_ignored(
    ignored: str, tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(loop_module.Trainer):
        def __init__(self, training: Training, **options: Any) -> None:
            optimizer = training.optimizer
            changed: dict[str, dict[str, Any]] = {
                "clip": {"max_grad_norm": 1e9},
                "decay": {"optimizer": replace(optimizer, weight_decay=0.0)},
                "betas": {"optimizer": replace(optimizer, betas=(0.9, 0.999))},
                "rate": {"schedule": Constant(warmup_frac=0.0)},
            }
            super().__init__(replace(training, **changed[ignored]), **options)

    monkeypatch.setattr(loop_module, "Trainer", Deaf)
    expect_red(lambda: check_by_hand(tiny_folder(), tmp_path))


def plain_loop(
    network: Any, examples: Any, settings: TrainSettings, *, loss_of: Any = supervised
) -> list[float]:
    """The same steps as a few lines of torch, with torch's own optimiser and clipping."""
    inside = {id(p) for p in network.model.layers.parameters()}
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [[p for p in parameters if (id(p) in inside) == side] for side in (False, True)]
    optimizer = torch.optim.AdamW(
        [{"params": some} for some in groups if some],
        lr=0.0, betas=settings.betas, weight_decay=settings.weight_decay, fused=True,
    )  # fmt: skip
    losses, steps = [], plan_steps(examples, settings)
    for index, step in enumerate(steps):
        num_terms = sum(examples[i].num_terms for one in step for i in one)
        total = torch.zeros(())
        for one in step:
            loss = loss_of(network, [examples[i] for i in one])
            (loss / num_terms).backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        warm = round(settings.warmup_frac * len(steps))
        done = (index - warm) / (len(steps) - warm)
        cosine = settings.learning_rate * (0.5 * (1 + math.cos(math.pi * done)))
        rate = settings.learning_rate * (index + 1) / (warm + 1) if index < warm else cosine
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total) / num_terms)
    return losses


def check_same_bits(source: Path, folder: Path, settings: TrainSettings) -> None:
    """Not close but equal: no sum is taken in another order, nothing is scaled twice."""
    settings = replace(settings, weight_decay=0.1)
    found, wanted = fresh(source), fresh(source)
    fitted = train(found, folder, settings)
    seed_everything(derive_seed(settings.seed, "train"))
    make_trainable(wanted, settings)
    assert fitted.losses == plain_loop(wanted.network, make_examples(), settings)
    assert_same(weights(found), weights(wanted))


@pytest.mark.parametrize("settings", [SETTINGS, FULL], ids=["lora", "full"])
def test_same_bits_as_a_plain_loop(
    settings: TrainSettings, tiny_folder: Any, tmp_path: Path
) -> None:
    check_same_bits(tiny_folder(), tmp_path, settings)


def test_planted_passes_in_another_order(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right but for rounding."""
    exact = loop_module.Trainer._share
    monkeypatch.setattr(loop_module.Trainer, "_share", lambda self, b: exact(self, b)[::-1])
    expect_red(lambda: check_same_bits(tiny_folder(), tmp_path, FULL))


# --- any module, any source ---------------------------------------------------------------------


class Numbers:
    """Vectors without end, a function of their number."""

    def __init__(self) -> None:
        self.at = 0

    def take(self) -> Any:
        self.at += 1
        return Vector(torch.randn(5, generator=torch.Generator().manual_seed(self.at)))

    def state_dict(self) -> dict[str, Any]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.at = state["at"]


class Vector:
    num_terms = num_answer_tokens = 1

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return 1


class Norms(Hook):
    """Keeps what the gradients were; may end the run at a step."""

    wants_gradients = True

    def __init__(self, *, die_at: int = -1) -> None:
        self.found: list[Gradients] = []
        self.die_at = die_at

    def gradients(self, found: Gradients) -> None:
        self.found.append(found)

    def evaluate(self, progress: TrainingProgress) -> None:
        if progress.step == self.die_at:
            raise Killed


def regression(network: torch.nn.Module, items: Any, /, *, weight: float = 1.0) -> torch.Tensor:
    rows = torch.stack([item.values for item in items])
    return weight * (network(rows) - rows.square()).square().sum()


def streamed(folder: Path, hooks: Sequence[Hook] = ()) -> tuple[TrainingProgress, torch.nn.Module]:
    """A small perceptron on a stream, seven vectors a step in passes of three."""
    torch.manual_seed(3)
    network = torch.nn.Sequential(torch.nn.Linear(5, 11), torch.nn.Tanh(), torch.nn.Linear(11, 5))
    training = Training(
        network=network,
        objective=regression,
        source=StreamedSteps(Numbers(), num_steps=8, items_per_step=7, items_per_pass=3),
        optimizer=AdamW(learning_rate=0.05),
        schedule=WSD(),
        save_every_steps=3,
    )
    return run_training(training, checkpoint=folder / "state.pt", hooks=hooks), network


def test_any_module_on_a_stream(tmp_path: Path) -> None:
    """As a plain loop, also where it is killed between two checkpoints."""
    done, network = streamed(tmp_path)
    torch.manual_seed(3)
    plain = torch.nn.Sequential(torch.nn.Linear(5, 11), torch.nn.Tanh(), torch.nn.Linear(11, 5))
    optimizer = torch.optim.AdamW(plain.parameters(), betas=(0.9, 0.95), weight_decay=0.0)
    cursor, losses = Numbers(), []
    for step in range(8):
        loss = regression(plain, [cursor.take() for _ in range(7)]) / 7
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = WSD().rate(0.05, step, 8)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert list(done.losses) == pytest.approx(losses, rel=1e-5)
    assert (done.step, done.num_steps, done.num_rows) == (8, 8, 56)
    for one, other in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)

    (tmp_path / "killed").mkdir()
    with pytest.raises(Killed):
        streamed(tmp_path / "killed", [Norms(die_at=5)])
    again, resumed = streamed(tmp_path / "killed")
    assert again == done
    assert_same(dict(resumed.named_parameters()), dict(network.named_parameters()))


def check_gradients(folder: Path) -> None:
    """Norms of passes by separate differentiation; who looks at them changes no bit."""
    norms, told = Norms(), Steps()
    done, network = streamed(folder, [norms, told])
    (folder / "plain").mkdir()
    plain, untouched = streamed(folder / "plain")
    assert plain == done
    assert_same(dict(network.named_parameters()), dict(untouched.named_parameters()))
    torch.manual_seed(3)
    start = torch.nn.Sequential(torch.nn.Linear(5, 11), torch.nn.Tanh(), torch.nn.Linear(11, 5))
    cursor = Numbers()
    items = [cursor.take() for _ in range(7)]
    wanted = []
    for some in (items[:3], items[3:6], items[6:], items):
        found = torch.autograd.grad(regression(start, some) / 7, list(start.parameters()))
        wanted.append(sum(float(g.double().square().sum()) for g in found))
    first = norms.found[0]
    assert [one.num_terms for one in first.passes] == [3, 3, 1]
    assert [one.square_norm for one in first.passes] == pytest.approx(wanted[:3], rel=1e-5)
    assert (first.num_terms, first.square_norm) == (7, pytest.approx(wanted[3], rel=1e-5))
    assert max(wanted) > 1.0  # it would be clipped
    assert len(norms.found) == 8
    assert [one.square_norm**0.5 for one in norms.found] == pytest.approx(
        [row["grad_norm"] for row in told.rows]
    )


class Steps(Hook):
    """Adds a number to each step, and keeps what is told."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def numbers(self) -> dict[str, Any]:
        return {"twice": 2 * len(self.rows)}

    def step(self, told: Any, batch: Batch) -> None:
        self.rows.append({**told, "items": sum(len(one.items) for one in batch.passes)})


def test_gradients_of_passes(tmp_path: Path) -> None:
    check_gradients(tmp_path)


def test_planted_norms_of_what_was_accumulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second pass's norm with the first pass's gradient in it."""

    def accumulating(self: Any, loss: torch.Tensor, one: Any) -> None:
        loss.backward()
        if self._noted is not None:
            squares = [p.grad.square().sum() for p in self.parameters]
            self._noted.append((one.num_terms, torch.stack(squares).sum()))

    monkeypatch.setattr(loop_module.Trainer, "_backward", accumulating)
    expect_red(lambda: check_gradients(tmp_path))


def test_hooks_add_numbers(tmp_path: Path) -> None:
    steps = Steps()
    streamed(tmp_path, [steps])
    assert [row["step"] for row in steps.rows] == list(range(8))
    assert [row["twice"] for row in steps.rows] == [2 * i for i in range(8)]
    assert {row["items"] for row in steps.rows} == {7}


# --- stopped and split --------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a run anywhere, as a signal would."""


def killed_after(num_passes: int) -> Any:
    """The supervised objective, which ends the run at its pass of this number."""
    left = [num_passes]

    def objective(network: Any, examples: Sequence[Example], *, weight: float) -> torch.Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return supervised(network, examples)

    return objective


def check_resumed(source: Path, place: Path, settings: TrainSettings, num_passes: int) -> None:
    """Killed at any pass, then again, then let through: nothing tells it from a straight run."""
    folders = [place / f"{name}-{num_passes}" for name in ("straight", "killed")]
    for folder in folders:
        folder.mkdir()
    straight, meter = fresh(source), Meter("train")
    wanted = train(straight, folders[0], settings, meter=meter)
    for killed in (num_passes, 3):
        with pytest.raises(Killed):
            train(fresh(source), folders[1], settings, objective=killed_after(killed))
    model, again, told = fresh(source), Meter("train"), []
    found = train(
        model, folders[1], settings, meter=again, event=lambda kind, **named: told.append(kind)
    )
    assert found.losses == wanted.losses
    assert found.num_steps == wanted.num_steps == 6
    assert_same(weights(model), weights(straight))
    assert again.totals() == meter.totals()
    assert ("training_resumed" in told) == (num_passes > 6)


@pytest.mark.parametrize("num_passes", [2, 11])
@pytest.mark.parametrize("settings", [SETTINGS, FULL], ids=["lora", "full"])
def test_resumed_equals_straight(
    settings: TrainSettings, num_passes: int, tiny_folder: Any, tmp_path: Path
) -> None:
    check_resumed(tiny_folder(), tmp_path, settings, num_passes)


@pytest.mark.parametrize("forgotten", ["random", "optimizer", "parameters", "losses", "source"])
def test_planted_forgotten_on_resuming(
    forgotten: str, tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path, network: Any, optimizer: Any) -> dict[str, Any]:
        kept = weights_of(network)
        before = optimizer.state_dict()
        state = exact(path, network, optimizer)
        if forgotten == "random":
            torch.manual_seed(0)
        if forgotten == "optimizer":
            optimizer.load_state_dict(before)
        if forgotten == "parameters":
            for name, parameter in network.named_parameters():
                parameter.data.copy_(kept[name])
        if forgotten == "losses":
            state["losses"] = state["losses"][:-1]
            state.pop("source")
        if forgotten == "source":
            state["source"] = {"step": 0}
        return state

    def weights_of(network: Any) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in network.named_parameters()}

    exact = trainer_module.load_checkpoint
    monkeypatch.setattr(trainer_module, "load_checkpoint", load)
    expect_red(lambda: check_resumed(tiny_folder(), tmp_path, SETTINGS, 7))


def check_accumulated(source: Path, place: Path, settings: TrainSettings) -> None:
    """Many passes or all of a step in one: the same losses and parameters."""
    found = []
    settings = replace(settings, learning_rate=settings.learning_rate / 10, max_grad_norm=1e9)
    for pass_tokens in (22, 1000):
        model, folder = fresh(source), place / str(pass_tokens)
        folder.mkdir(parents=True)
        given = replace(settings, pass_tokens=pass_tokens)
        found.append((train(model, folder, given).losses, weights(model)))
    (losses, split), (wanted, whole) = found
    assert losses == pytest.approx(wanted, rel=1e-6)
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("settings", [PLAIN, FULL], ids=["lora", "full"])
def test_accumulated_equals_whole(
    settings: TrainSettings, tiny_folder: Any, tmp_path: Path
) -> None:
    check_accumulated(tiny_folder(), tmp_path, settings)


def test_planted_mean_of_means(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MeanOfMeans(loop_module.Trainer):
        def accumulate(self, batch: Batch) -> Accumulated:
            means = [super(MeanOfMeans, self).accumulate(Batch(passes=[p])) for p in batch.passes]
            for parameter in self.parameters:
                parameter.grad /= len(means)
            return replace(means[-1], loss=sum(one.loss for one in means) / len(means))

    monkeypatch.setattr(loop_module, "Trainer", MeanOfMeans)
    expect_red(lambda: check_accumulated(tiny_folder(), tmp_path, PLAIN))


def check_checkpointing(family: str, tiny_folder: Any, place: Path, mark: list[int]) -> None:
    """Layers computed twice, and nothing else changed."""
    found = []
    for checkpointing in (False, True):
        model, folder = fresh(tiny_folder(family)), place / str(checkpointing)
        folder.mkdir()
        network = getattr(model.network, "network", model.network)
        calls = [0]
        layer = next(m for n, m in network.named_modules() if n.endswith("layers.0.self_attn"))
        layer.register_forward_pre_hook(lambda *given, n=calls: n.__setitem__(0, n[0] + 1))
        given = replace(PLAIN, gradient_checkpointing=checkpointing)
        found.append((train(model, folder, given).losses, weights(model)))
        mark.append(calls[0])
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for name, value in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], value, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_gradient_checkpointing_changes_nothing(
    family: str, tiny_folder: Any, tmp_path: Path
) -> None:
    calls: list[int] = []
    check_checkpointing(family, tiny_folder, tmp_path, calls)
    assert calls[1] == 2 * calls[0]


# --- precision ----------------------------------------------------------------------------------


def check_masters(source: Path, folder: Path) -> None:
    """Loaded in bf16, trained in fp32: steps far below bf16's spacing add up."""
    model = fresh(source, "bf16")
    before = weights(model)
    settings = replace(FULL, learning_rate=1e-5, schedule="constant", warmup_frac=0.0)
    fitted = train(model, folder, settings)
    assert fitted.wrapped is None
    after = weights(model)
    assert {value.dtype for value in after.values()} == {torch.float32}
    for name, value in after.items():
        change = (value - before[name].float()).abs()
        assert 0 < change.max() < 1e-4, name


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_full_training_keeps_fp32_masters(family: str, tiny_folder: Any, tmp_path: Path) -> None:
    check_masters(tiny_folder(family), tmp_path)


def test_planted_masters_in_bf16(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.Module, "float", lambda self: self)
    expect_red(lambda: check_masters(tiny_folder(), tmp_path))


# --- what a run tells ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "settings", "left"),
    [
        ("llama", PLAIN, 0.3),
        ("llama", FULL, 0.1),
        ("gpt2", FULL, 0.3),
        ("mamba", FULL, 0.3),
        ("gpt2", PLAIN, 0.8),  # little rank below a random head that stays
    ],
)
def test_a_few_texts_are_memorised(
    family: str, settings: TrainSettings, left: float, tiny_folder: Any, tmp_path: Path
) -> None:
    settings = replace(settings, epochs=40, learning_rate=1e-2, pass_tokens=200)
    fitted = train(fresh(tiny_folder(family)), tmp_path, settings, examples=make_examples(4))
    assert fitted.losses[-1] < left * fitted.losses[0]


def test_what_is_told_and_counted(tiny_folder: Any, tmp_path: Path) -> None:
    meter, told, examples = Meter("train"), [], make_examples()
    fitted = train(
        fresh(tiny_folder()), tmp_path, PLAIN, meter=meter,
        event=lambda kind, **named: told.append((kind, named)),
    )  # fmt: skip
    assert [(kind, named["step"]) for kind, named in told] == [("train_step", i) for i in range(6)]
    assert [named["loss"] for _, named in told] == fitted.losses
    assert [named["learning_rate"] for _, named in told] == pytest.approx(
        [1e-2 / 2, *(5e-3 * (1 + math.cos(math.pi * i / 5)) for i in range(5))]
    )
    answers = sum(len(e.answer) for e in examples)
    assert sum(named["num_terms"] for _, named in told) == fitted.num_tokens == 2 * answers
    assert meter.totals()["trained_on"] == 2 * (answers + sum(len(e.prompt) for e in examples))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run(
    value: float, tiny_folder: Any, tmp_path: Path
) -> None:
    """What was saved before it stays, so a run with other settings may start from there."""
    model, calls = fresh(tiny_folder()), [0]

    def objective(network: Any, examples: Sequence[Example], *, weight: float) -> torch.Tensor:
        calls[0] += 1
        return supervised(network, examples) * (value if calls[0] == 3 else 1.0)

    settings = replace(PLAIN, pass_tokens=200, save_every_steps=1)
    with pytest.raises(IncompleteError, match=r"must stay finite \(step 2\), got '(nan|inf) "):
        train(model, tmp_path, settings, objective=objective)
    saved = torch.load(tmp_path / "training-state.pt", weights_only=True)
    assert len(saved["state"]["losses"]) == 2
    assert all(bool(value.isfinite().all()) for value in saved["parameters"].values())
    assert all(bool(value.isfinite().all()) for value in weights(model).values())


def test_nothing_to_learn(tiny_folder: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training set must contain an example"):
        train(fresh(tiny_folder()), tmp_path, examples=[])


# --- other processes ----------------------------------------------------------------------------


@pytest.mark.slow
def test_resumed_after_sigkill_equals_straight(tiny_folder: Any, tmp_path: Path) -> None:
    """Dropout, adapters and six steps: killed in its fourth, by a signal nothing can catch."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    straight.mkdir()
    killed.mkdir()
    wanted = finished(start(tiny_folder(), straight), straight)
    with start(tiny_folder(), killed, seconds=0.3) as process:
        for line in process.stdout:
            if line.split() == ["train_step", "3"]:
                process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [path.name for path in killed.iterdir()] == ["training-state.pt"]
    found = finished(start(tiny_folder(), killed), killed)
    assert found["losses"] == wanted["losses"]
    assert_same(found["weights"], wanted["weights"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"method": "lora"}, {"method": "full"}, {"method": "full", "optimizer": "muon"}],
    ids=["lora", "full", "muon"],
)
def test_two_processes_equal_one(given: Any, tiny_folder: Any, tmp_path: Path) -> None:
    check_two_processes(tiny_folder(), tmp_path, **given)


@pytest.mark.slow
def test_planted_gradients_not_summed(tiny_folder: Any, tmp_path: Path) -> None:
    before = "from burnish.train.trainer import Trainer; "
    before += "Trainer._sum_over_processes = lambda self, total: None"
    expect_red(lambda: check_two_processes(tiny_folder(), tmp_path, before=before))
