"""Models that became solvers: equal at first, and decoded exactly with a cache an evaluation."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits, texts
from torch import Tensor
from typer.testing import CliRunner

from burnish.arch.blocks import blocks
from burnish.arch.blocks.pcformer import PCformerBlock
from burnish.arch.upcycle_solver import upcycle_solver
from burnish.base.errors import ModelError, SettingError
from burnish.cli.arch import commands
from burnish.engine.session import DecoderSession
from burnish.models import decoder as decoder_module
from burnish.models.count import count
from burnish.models.decoder import Decoder, first_order
from burnish.models.load import Model, load_model
from burnish.models.save import save_model


def solver_block(spec: str) -> PCformerBlock:
    block = blocks.parse(f"pcformer:{spec}")
    assert isinstance(block, PCformerBlock)
    return block


@pytest.fixture
def made(tiny_folder: Any) -> Any:
    """A model of a family with a solver, and the model that it was."""

    def make(family: str, spec: str, precision: str = "fp32") -> tuple[Model, Model]:
        plain = load_model(str(tiny_folder(family)), precision=precision, device="cpu")
        model = upcycle_solver(plain, solver_block(spec)).model
        return load_model(str(tiny_folder(family)), precision=precision, device="cpu"), model

    return make


def difference(one: Decoder, other: Decoder) -> float:
    pairs = zip(packed_logits(one, texts()), packed_logits(other, texts()), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def check_beta_zero(made: Any, spec: str, precision: str) -> None:
    for family in ("llama", "mistral", "qwen3", "moe-mixtral"):
        plain, model = made(family, spec, precision)
        model.network.fuse()
        assert difference(plain.network, model.network) == 0, family


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_beta_zero_is_the_same_model(precision: str, made: Any) -> None:
    check_beta_zero(made, "order=2", precision)
    check_beta_zero(made, "order=4,corrector=mix,function=rknorm", precision)


def test_planted_blend_around_the_solver(made: Any, monkeypatch: Any) -> None:
    """`solver + (1 - beta) (plain - solver)` is equal on paper only."""
    exact = decoder_module.LayerSolver.forward

    def other(self: Any, evaluate: Any, rows: Any, history: Any, shared: Any) -> Any:
        outputs: list[Tensor] = []

        def noted(index: int, at: Tensor) -> Any:
            found = evaluate(index, at)
            outputs.append(found[0])
            return found

        self.beta.data += 1
        solved, history = exact(self, noted, rows, history, shared)
        self.beta.data -= 1
        return solved + (1 - self.beta) * (outputs[0] - solved), history

    monkeypatch.setattr(decoder_module.LayerSolver, "forward", other)
    with pytest.raises(AssertionError):
        check_beta_zero(made, "order=2", "fp32")


def session_of(model: Model, num_slots: int, capacity: int = 96, chunk: int = 512) -> Any:
    return DecoderSession(
        model.network, num_slots=num_slots, capacity_tokens=capacity, dtype=model.dtype,
        device=model.device, chunk_rows=chunk,
    )  # fmt: skip


SPECS = ["order=1,beta=0.5", "order=2,beta=0.5", "order=4,beta=0.5", "order=2,beta=none"]
SPECS += ["order=2,shared_kv=true,beta=0.5", "orders=1x1-3x2,corrector=moulton,history=3,beta=0.9"]
SPECS += ["order=2,corrector=mix,function=rknorm,gamma_form=raw,beta=none"]


def check_cached(model: Model) -> None:
    """Chunks of 1, 3 and 7, two texts of different lengths at once, and after a rollback."""
    sequences = texts((19, 17))
    wanted = packed_logits(model.network, sequences)
    for size in (1, 3, 7):
        session = session_of(model, 2)
        for begin in range(0, 17, size):
            chunks = [tokens[begin : min(17, begin + size)] for tokens in sequences]
            found = session.prefill([0, 1], chunks)
        ends = torch.stack([one[16] for one in wanted])
        torch.testing.assert_close(found, ends, atol=1e-4, rtol=1e-4)
        assert session.cache.lengths == [17, 17]  # one position a token
        session.cache.rollback(0, 9)
        for at in range(9, 19):  # tokens come again one by one, beside nothing
            found = session.step([sequences[0][at]])
            torch.testing.assert_close(found[0], wanted[0][at], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("spec", SPECS)
def test_cached_equals_uncached(spec: str, made: Any) -> None:
    plain, model = made("mistral" if "order=2,beta=0.5" in spec else "llama", spec)
    check_cached(model)
    session, ordinary = session_of(model, 1), session_of(plain, 1)
    per_layer = sum(model.network.shape.solver.num_places) / model.network.shape.num_layers
    assert session.cache.num_bytes == per_layer * ordinary.cache.num_bytes
    counted = count(model.network.shape).kv_elements_per_token
    assert counted == per_layer * count(plain.network.shape).kv_elements_per_token
    if spec.startswith("order=2,beta"):
        assert per_layer == 3
    if "shared" in spec:
        assert per_layer == 1


def test_planted_cache_of_the_corrector_alone(made: Any, monkeypatch: Any) -> None:
    """The released scheme: evaluations overwrite each other, and the corrector's stays."""
    _, model = made("llama", "order=2,beta=0.5")
    exact = decoder_module.Attention.forward
    monkeypatch.setattr(
        decoder_module.Attention, "forward", lambda self, rows, attend, evaluation=0, kept=None:
        exact(self, rows, attend, 0, kept),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        check_cached(model)


@pytest.mark.parametrize("spec", SPECS)
def test_later_tokens_change_nothing_before(spec: str, made: Any) -> None:
    _, model = made("llama", spec)
    tokens = texts((23,))[0]
    before = packed_logits(model.network, [tokens])[0]
    changed = [*tokens[:11], (tokens[11] + 1) % 200 + 3, *tokens[12:]]
    after = packed_logits(model.network, [changed])[0]
    assert torch.equal(before[:11], after[:11])
    assert not torch.allclose(before[11:], after[11:])


def test_checkpointing_trains_the_same_model(made: Any) -> None:
    for spec in ("order=2,beta=0.5", SPECS[-1]):
        _, model = made("llama", spec)
        network, found = model.network.double().requires_grad_(True), []
        for checkpointing in (False, True):
            network.model.checkpointing = checkpointing
            network.zero_grad()
            rows = torch.randn(5, network.shape.d_model, dtype=torch.float64,
                               generator=torch.Generator().manual_seed(1))  # fmt: skip

            def attend(place: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
                return query * value.repeat_interleave(2, 1).tanh()

            unused = torch.zeros(5, dtype=torch.long)
            loss = network.hidden(unused, attend, rows=rows).square().sum()
            loss.backward()
            gradients = {n: p.grad.clone() for n, p in network.named_parameters()
                         if p.grad is not None}  # fmt: skip
            found.append((loss.detach(), gradients))
        torch.testing.assert_close(found[0], found[1], atol=1e-10, rtol=1e-10)
        assert any("solver" in name for name in found[0][1])
        assert any("q_proj" in name for name in found[0][1])


def test_first_order_is_the_plain_model(made: Any) -> None:
    plain, model = made("llama", "order=2,beta=0.5")
    assert difference(plain.network, model.network) > 0.1
    with first_order(model.network):
        assert difference(plain.network, model.network) <= 1e-5


def test_refusals(made: Any) -> None:
    _, model = made("llama", "order=2")
    with pytest.raises(ModelError, match="without a solver"):
        upcycle_solver(model, solver_block("order=2"))
    for spec in ("order=5", "gamma=1", "history=1", "beta=x", "orders=2-3"):
        with pytest.raises(SettingError):
            solver_block(spec)
    with pytest.raises(SettingError, match="3 layers"):
        solver_block("orders=1x2").solver(3, beta=None)


def test_the_command(tiny_folder: Any, tmp_path: Path) -> None:
    words = ["upcycle", str(tiny_folder("llama")), "--block", "pcformer:order=2"]
    done = CliRunner().invoke(commands.app, [*words, "--out", str(tmp_path / "made"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["logit_difference"] == 0 and told["evaluations_per_layer"] == 3
    done = CliRunner().invoke(commands.app, ["show", str(tmp_path / "made"), "--json"])
    shown = json.loads(done.stdout)
    for name in ("num_params", "num_active_params", "flops_per_token", "kv_bytes_per_token"):
        assert shown[name] == told[name]
    assert shown["evaluations_per_layer"] == 3
    plain = json.loads(CliRunner().invoke(
        commands.app, ["show", str(tiny_folder("llama")), "--json"]).stdout)  # fmt: skip
    assert shown["kv_bytes_per_token"] == 3 * plain["kv_bytes_per_token"]
    assert plain["evaluations_per_layer"] == 1
    assert shown["num_params"] == plain["num_params"] + 1 + 3  # gamma, and a beta a layer


def test_the_released_form_has_the_parameters_of_the_paper(made: Any, tmp_path: Path) -> None:
    """4 d + 4 L d + 2 (L + 1)^2 + 1 more than the plain model."""
    plain, model = made("llama", "order=2,corrector=mix,function=rknorm,gamma_form=raw,beta=none")
    width, layers = plain.network.shape.d_model, plain.network.shape.num_layers
    more = 4 * width + 4 * layers * width + 2 * (layers + 1) ** 2 + 1
    numbers = [sum(p.numel() for p in m.network.parameters()) for m in (plain, model)]
    assert numbers[1] == numbers[0] + more == count(model.network.shape).num_params
    save_model(model, tmp_path / "model")
