"""Recorded passes. A traced graph stands for the CUDA graph: it bakes in whatever is no tensor."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from burnish.contracts.drafter import Draft, Riders
from burnish.draft.passes import Passes
from burnish.engine.replay import USES, Pass, Replays
from burnish.engine.session import DecoderSession
from burnish.kernels import ops


@pytest.fixture(autouse=True)
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(ops, "usable", lambda *tensors: False)


def trace(run: Pass, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
    """Like a CUDA graph: kernels and addresses are those of the recording, numbers are new."""
    graph = make_fx(lambda *given: list(run(*given)))(*inputs)
    return lambda: graph(*inputs)


def open_small(model: Any, *, recorded: bool) -> DecoderSession:
    session = DecoderSession(
        model.network, num_slots=2, capacity_tokens=48, dtype=model.dtype, device=model.device
    )
    session.replays = Replays(trace if recorded else None)
    return session


def steps_of(model: Any, num_made: int, *, recorded: bool) -> Tensor:
    """Logits of steps of two texts; the shorter one gives its slot away on the way."""
    session = open_small(model, recorded=recorded)
    with torch.inference_mode():
        session.prefill([0, 1], [[3, 1, 4, 1, 5], [9, 2]])
        found = [session.step([7 + i, 11 + i]) for i in range(6)]
        session.move(1, 0)
        found += [session.step([5 + i]) for i in range(6)]
    assert len(session.replays._made) == (num_made if recorded else 0)
    return torch.cat(found)


def check_steps(model: Any, num_made: int = 2) -> None:
    # a recorded pass looks at more masked cells than it needs: other kernels, other roundings
    torch.testing.assert_close(
        steps_of(model, num_made, recorded=True),
        steps_of(model, num_made, recorded=False),
        atol=2e-5,
        rtol=2e-5,
    )


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3"])
def test_replayed_equals_run(family: str, tiny_model: Any) -> None:
    check_steps(tiny_model(family))


def test_a_span_reaches_the_end_of_the_longest_text(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burnish.engine.replay.SPAN_TOKENS", 3)
    monkeypatch.setattr("burnish.engine.replay.USES", 1)
    check_steps(tiny_model("llama"), 6)


def test_planted_length_that_is_baked_in(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.engine import session as module

    exact = module.StepAttend

    def fixed(cache: Any, num: int, rope: Any, windows: Any, *, lengths: Any, span_tokens: Any):
        return exact(cache, num, rope, windows, span_tokens=span_tokens)  # from the cache's own

    monkeypatch.setattr(module, "StepAttend", fixed)
    with pytest.raises(AssertionError):
        check_steps(tiny_model("llama"))


def passes_of(model: Any, passes: str, *, recorded: bool) -> list[Tensor]:
    """What verifying passes over one tree give while the text grows by its first branch."""
    session = open_small(model, recorded=recorded)
    size = model.config.hidden_size
    source = torch.Generator().manual_seed(1)
    weight = torch.randn(1, size, size, generator=source).to(model.dtype) / size
    riders = Riders(entries=(1,), weight=weight, passes=passes)
    at_work = Passes(model.network, session.cache, riders)
    at_work.replays = Replays(trace if recorded else None)
    found = []
    with torch.inference_mode():
        session.prefill([0], [[3, 1, 4, 1, 5]])
        for i in range(USES + 3):
            draft = Draft(tokens=(5 + i, 9, 11 + i), parents=(-1, 0, 0))
            passed = at_work.verify([draft])
            streams = [passed.streams[layer] for layer in sorted(passed.streams)]
            found += [passed.final, passed.logits, *streams]
            found += [] if passed.pseudo is None else [passed.pseudo]
            at_work.commit(0, draft, [0, 2])
    assert len(at_work.replays._made) == recorded
    return found


@pytest.mark.parametrize("passes", ["one", "two"])
def test_replayed_drafts_equal_run(passes: str, tiny_model: Any) -> None:
    model = tiny_model("llama")
    found = zip(
        passes_of(model, passes, recorded=True), passes_of(model, passes, recorded=False),
        strict=True,
    )  # fmt: skip
    for one, other in found:
        torch.testing.assert_close(one, other, atol=2e-5, rtol=2e-5)


def test_what_cannot_be_recorded_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(run: Pass, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    replays = Replays(refuse)
    for number in range(USES + 2):
        (found,) = replays("key", lambda x: [x + 1], torch.tensor([number]))
        assert found.item() == number + 1
    said = capsys.readouterr().err
    assert said == (
        "CUDA graphs are not used on this GPU: operation not permitted when stream is capturing\n"
    )


@pytest.mark.gpu
def test_cuda_graphs_equal_run(tiny_model: Any) -> None:
    device = torch.device("cuda")
    replays, plain = Replays.on(device), Replays()
    weight = torch.randn(31, 31, device=device)
    for number in range(USES + 3):
        given = torch.full((5, 31), float(number), device=device)
        (found,) = replays("key", lambda x: [x @ weight], given)
        (wanted,) = plain("key", lambda x: [x @ weight], given)
        torch.testing.assert_close(found, wanted)
    assert len(replays._made) == 1
