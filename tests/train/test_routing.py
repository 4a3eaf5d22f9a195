"""The router's losses, bias and numbers, and whole runs against plain loops."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fixtures.training import FULL, check_two_processes, make_examples, train
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.models.config import ExpertsConfig
from burnish.models.load import load_model
from burnish.models.moe import MoE
from burnish.train import routing
from burnish.train.examples import plan_steps
from burnish.train.hooks import Hook
from burnish.train.objective import supervised
from burnish.train.routing import Routing, RoutingSettings, balance_loss, router_z_loss
from burnish.train.steps import Batch

LOSSES_ONLY = {"balance_loss": 0.05, "z_loss": 0.01}


def random_logits(num: int = 29, num_experts: int = 7) -> Tensor:
    return torch.randn(num, num_experts, generator=torch.Generator().manual_seed(1)) * 2


def check_balance_loss(balance_of: Any) -> None:
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    logits = random_logits()
    for top_k in (1, 3):
        chosen = logits.topk(top_k, dim=-1).indices
        wanted = load_balancing_loss_func((logits,), 7, top_k)  # there loads sum to top_k
        torch.testing.assert_close(balance_of(logits, chosen), wanted / top_k)
    even = torch.zeros(14, 7)
    chosen = torch.arange(14)[:, None] % 7
    assert float(balance_of(even, chosen)) == pytest.approx(1.0)


def test_balance_loss_equals_transformers() -> None:
    check_balance_loss(balance_loss)


def test_planted_loss_of_the_logits() -> None:
    with pytest.raises(AssertionError):
        check_balance_loss(lambda logits, chosen: balance_loss(logits * 1.01, chosen))


def test_z_loss_by_hand() -> None:
    logits = random_logits()
    wanted = sum(torch.log(torch.exp(row).sum()) ** 2 for row in logits) / len(logits)
    torch.testing.assert_close(router_z_loss(logits), wanted)


@dataclass(frozen=True)
class Rows:
    """Rows of a single layer, as an item of a run."""

    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_terms(self) -> int:
        return len(self.rows)

    @property
    def num_answer_tokens(self) -> int:
        return len(self.rows)


def layer_of(num_experts: int = 4, top_k: int = 1) -> MoE:
    config = ExpertsConfig(
        num_experts=num_experts, top_k=top_k, d_expert=5, normalised=True, layers=(0,)
    )
    torch.manual_seed(0)
    return MoE(3, config, None).train()


def squares(network: MoE, items: Sequence[Rows], /, *, weight: float = 1.0) -> Tensor:
    return weight * sum(network(item.rows).square().sum() for item in items)


BATCH = Batch(passes=[])


def test_numbers_by_hand() -> None:
    """Two passes; all rows of one expert, then a half of another's. A pass of no weight is none."""
    layer = layer_of()
    with torch.no_grad():
        layer.gate.weight.copy_(torch.eye(4, 3) * 9)
    hook = Routing(layer, RoutingSettings(capacity_factor=2.0, **LOSSES_ONLY))
    objective = hook.objective(squares)
    first, second = torch.eye(3)[[0] * 8], torch.eye(3)[[0, 1] * 2]
    objective(layer, [Rows(first)])
    objective(layer, [Rows(second)])
    objective(layer, [Rows(first)], weight=0.0)
    told = hook.numbers()
    loads = [10 / 12, 2 / 12, 0.0, 0.0]
    assert told["expert_load_frac"] == [[round(one, 6) for one in loads]]
    assert told["smallest_load_frac"] == 0
    deviation = (sum((one - 0.25) ** 2 for one in loads) / 4) ** 0.5
    assert told["load_variation"] == pytest.approx(deviation / 0.25)
    assert told["dropped_frac"] == pytest.approx(4 / 12)  # 8 of 8 where 4 are taken; 2 where 2 are
    wanted = float(router_z_loss(layer.gate(first)).detach())
    assert told["router_z_loss"] == pytest.approx(wanted, rel=1e-5)
    assert layer.records is None
    objective(layer, [Rows(second)])
    assert hook.numbers()["expert_load_frac"] == [[0.5, 0.5, 0.0, 0.0]]


def test_losses_are_added_as_often_as_there_are_terms() -> None:
    layer = layer_of()
    hook = Routing(layer, RoutingSettings(**LOSSES_ONLY))
    rows = torch.randn(6, 3)
    logits = layer.gate(rows)
    own = 0.05 * balance_loss(logits, layer.gate.choose(logits)[1]) + 0.01 * router_z_loss(logits)
    wanted = squares(layer, [Rows(rows)]) + 6 * own
    torch.testing.assert_close(hook.objective(squares)(layer, [Rows(rows)]), wanted)


@dataclass(frozen=True)
class Filled(Rows):
    """Rows of which the last few are filling."""

    num_filling_tokens: int = 0


def check_filling() -> None:
    """The case `padding does not count in the balance`: as the real tokens alone."""
    real = torch.randn(4, 3, generator=torch.Generator().manual_seed(5))
    filling = 9.0 * torch.ones(4, 3)  # all to one expert

    def nothing(network: MoE, items: Sequence[Filled], /, *, weight: float = 1.0) -> Tensor:
        return 0 * network(torch.cat([item.rows for item in items])).sum()

    told = []
    for items in (
        [Filled(real[:2]), Filled(real[2:])],
        [Filled(torch.cat((real[:2], filling)), 4), Filled(real[2:])],
    ):
        layer = layer_of()
        hook = Routing(layer, RoutingSettings(balance_loss=1.0, z_loss=0.5))
        num_terms = sum(item.num_terms for item in items)
        loss = hook.objective(nothing)(layer, items) / num_terms
        told.append((float(loss.detach()), hook.numbers()["expert_load_frac"]))
    assert told[0][0] == pytest.approx(told[1][0], rel=1e-6)
    assert told[0][1] == told[1][1]


def test_filling_does_not_count_in_the_balance() -> None:
    check_filling()


def test_planted_filling_that_counts(monkeypatch: Any) -> None:
    monkeypatch.setattr(routing, "_kept_rows", lambda items, device: None)
    with pytest.raises(AssertionError):
        check_filling()


def moved(rate: float, *, steps: int, num_steps: int, frac: float) -> list[Tensor]:
    layer = layer_of()
    with torch.no_grad():
        layer.gate.weight.copy_(torch.eye(4, 3) * 9)
    hook = Routing(layer, RoutingSettings(bias_rate=rate, anneal_frac=frac))
    hook._num_steps = num_steps
    objective, found = hook.objective(squares), []
    for step in range(steps):
        objective(layer, [Rows(torch.eye(3)[[0, 0, 1]])])
        hook.numbers()
        hook.step({"step": step}, BATCH)
        assert layer.gate.bias is not None
        found.append(layer.gate.bias.clone())
    return found


def test_bias_moves_against_the_load_and_ends_at_zero() -> None:
    """Loads 2, 1, 0, 0 of 3: those above 0.75 lose."""
    found = moved(0.01, steps=10, num_steps=10, frac=0.4)
    signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    torch.testing.assert_close(found[0], 0.01 * signs)
    torch.testing.assert_close(found[5], 0.06 * signs)
    for left, bias in zip((3, 2, 1, 0), found[6:], strict=True):
        torch.testing.assert_close(bias, 0.06 * signs * left / 4)
    assert not found[-1].any()


def test_a_network_without_experts_is_refused(tiny_model: Any) -> None:
    with pytest.raises(SettingError, match="network has no experts"):
        Routing(tiny_model("llama").network, RoutingSettings())
    with pytest.raises(SettingError, match="balance_loss must not be negative"):
        RoutingSettings(balance_loss=-1.0)
    with pytest.raises(SettingError, match="anneal_frac must lie in"):
        RoutingSettings(anneal_frac=1.5)


class Told(Hook):
    """Keeps what is told of each step."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def step(self, told: Any, batch: Batch) -> None:
        self.rows.append(dict(told))


SETTINGS = {**vars(FULL), "num_steps": 50, "pass_tokens": 200, "learning_rate": 3e-4}
SETTINGS |= {"schedule": "cosine", "max_grad_norm": 1e9, "save_every_steps": 50}


def run(folder: Path, place: Path, routing_settings: RoutingSettings, **changes: Any) -> Any:
    model = load_model(str(folder), precision="fp32", device="cpu")
    hook, told = Routing(model.network, routing_settings), Told()
    settings = type(FULL)(**{**SETTINGS, **changes})
    place.mkdir(exist_ok=True)
    options = {"hooks": [hook, told], "objective": hook.objective(supervised)}
    fitted = train(model, place, settings, meter=Meter("train"), **options)
    return model, fitted, told.rows


def check_plain_loop(folder: Path, reference_folder: Path, place: Path) -> None:
    """Transformers' model, torch's AdamW and a cosine written out; 50 steps."""
    from transformers import AutoModelForCausalLM

    _, fitted, told = run(folder, place, RoutingSettings(**LOSSES_ONLY))
    model = AutoModelForCausalLM.from_pretrained(
        reference_folder, dtype=torch.float32, experts_implementation="eager"
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.95), weight_decay=0.0)
    examples, settings = make_examples(), type(FULL)(**SETTINGS)
    losses = []
    for index, step in enumerate(plan_steps(examples, settings)):
        terms = logits = torch.zeros(())
        gates: list[list[Tensor]] = [[] for _ in model.model.layers]
        (chosen,) = step
        for example in (examples[i] for i in chosen):
            tokens = torch.tensor([[*example.prompt, *example.answer]])
            out = model(input_ids=tokens[:, :-1], output_router_logits=True)
            logits = out.logits[0, len(example.prompt) - 1 :]
            terms = terms + F.cross_entropy(
                logits, tokens[0, len(example.prompt) :], reduction="sum"
            )
            for kept, one in zip(gates, out.router_logits, strict=True):
                kept.append(one)
        extra = torch.zeros(())
        for kept in gates:
            scores = torch.cat(kept)
            chances = scores.softmax(-1)
            hot = F.one_hot(scores.topk(2, dim=-1).indices, 5).float().sum(1)
            balance = 5 * (hot.mean(0) / 2 * chances.mean(0)).sum()
            extra = extra + 0.05 * balance + 0.01 * (torch.logsumexp(scores, -1) ** 2).mean()
        num = sum(len(examples[i].answer) for i in chosen)
        loss = terms / num + extra / len(gates)
        for group in optimizer.param_groups:
            group["lr"] = settings.make_schedule().rate(3e-4, index, 50)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert len(told) == 50
    assert fitted.losses == pytest.approx(losses, abs=1e-4)
    assert losses[-1] < losses[0] - 0.5


@pytest.fixture
def unshared(tiny_folder: Any) -> Path:
    """Examples of the runs here share no beginning, so rows are as many as transformers'."""
    return tiny_folder("moe-mixtral")


def test_loss_equals_a_plain_loop(unshared: Path, tmp_path: Path) -> None:
    check_plain_loop(unshared, unshared, tmp_path / "run")


def test_planted_balance_over_all_experts(
    unshared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = routing.balance_loss
    monkeypatch.setattr(
        routing, "balance_loss", lambda logits, chosen: exact(logits, chosen[:, :1])
    )
    with pytest.raises(AssertionError):
        check_plain_loop(unshared, unshared, tmp_path / "run")


def test_resumed_equals_straight_with_bias(unshared: Path, tmp_path: Path) -> None:
    """The bias is in the checkpoint, and layers computed twice change nothing."""
    settings = RoutingSettings(bias_rate=0.02, anneal_frac=0.0)
    short = {"num_steps": 8, "schedule": "constant", "save_every_steps": 4, "warmup_frac": 0.0}
    straight, whole, told = run(unshared, tmp_path / "one", settings, **short)
    run(unshared, tmp_path / "two", settings, **short | {"num_steps": 4})
    again, resumed, later = run(unshared, tmp_path / "two", settings, **short)
    assert resumed.losses == whole.losses and len(later) == 4
    assert later[-1]["expert_load_frac"] == told[-1]["expert_load_frac"]
    for one, other in zip(layers(straight), layers(again), strict=True):
        assert torch.equal(one.gate.bias, other.gate.bias)
    assert any(one.gate.bias.any() for one in layers(straight))
    _, twice, _ = run(unshared, tmp_path / "three", settings, **short, gradient_checkpointing=True)
    assert twice.losses == pytest.approx(whole.losses, abs=1e-5)


def layers(model: Any) -> list[Any]:
    return [module for module in model.network.modules() if isinstance(module, MoE)]


def test_planted_bias_not_kept(unshared: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from burnish.train import checkpoint

    monkeypatch.setattr(checkpoint, "_trained_buffers", lambda network: {})
    with pytest.raises(AssertionError):
        test_resumed_equals_straight_with_bias(unshared, tmp_path)


def skewed_loads(**settings: Any) -> float:
    """Variation of the loads over the last 25 of 100 steps on a skewed corpus.

    Nine of ten rows come from two of sixteen directions, as if two words were nine tenths of a
    text; a layer of eight experts learns to rotate them.
    """
    given = {"balance_loss": 0.0, "z_loss": 0.0, "anneal_frac": 0.0, **settings}
    torch.manual_seed(0)
    config = ExpertsConfig(num_experts=8, top_k=2, d_expert=5, normalised=True, layers=(0,))
    layer = MoE(16, config, None).train()
    with torch.no_grad():
        layer.gate.weight.mul_(20)
    hook = Routing(layer, RoutingSettings(**given))
    turn = torch.linalg.qr(torch.randn(16, 16)).Q

    def far(network: MoE, items: Sequence[Rows], /, *, weight: float = 1.0) -> Tensor:
        return sum((network(one.rows) - one.rows @ turn).square().sum() for one in items) / 16

    objective, optimizer = hook.objective(far), torch.optim.AdamW(layer.parameters(), lr=1e-2)
    found = []
    for step in range(100):
        kinds = torch.where(torch.rand(128) < 0.9, torch.randint(2, (128,)), torch.arange(128) % 16)
        rows = torch.eye(16)[kinds] * 2 + torch.randn(128, 16) * 0.3
        optimizer.zero_grad()
        (objective(layer, [Rows(rows)]) / 128).backward()
        optimizer.step()
        found.append(hook.numbers()["load_variation"])
        hook._num_steps = 100
        hook.step({"step": step}, BATCH)
    return sum(found[-25:]) / 25


def test_loss_and_bias_each_even_the_loads() -> None:
    """About 0.8 without either."""
    plain, loss, bias = skewed_loads(), skewed_loads(balance_loss=0.1), skewed_loads(bias_rate=0.01)
    print(f"variation of loads: {plain:.3f}, with loss {loss:.3f}, with bias {bias:.3f}")
    assert loss < 0.7 * plain and bias < 0.7 * plain


def test_planted_bias_towards_the_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Tensor.sign
    monkeypatch.setattr(Tensor, "sign", lambda self: -exact(self))
    with pytest.raises(AssertionError):
        assert skewed_loads(bias_rate=0.01) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "fsdp2"])
def test_two_processes_equal_one(sharding: Any, tiny_folder: Any, tmp_path: Path) -> None:
    always = ROUTED if sharding == "none" else ""
    options = {"method": "full", "sharding": sharding, "always": always}
    check_two_processes(tiny_folder("moe-qwen2"), tmp_path, **options)


ROUTED = """
import fixtures.training as t
from burnish.train.routing import Routing, RoutingSettings
from burnish.train.objective import supervised
def routed(model, *others, fit=t.fit, **options):
    hook = Routing(model.network, RoutingSettings(balance_loss=0.05, bias_rate=0.01))
    options["hooks"] = [hook, *options["hooks"]]
    return fit(model, *others, objective=hook.objective(supervised), **options)
t.fit = routed
"""
