"""The decoder's slots against transformers' logits of the whole text so far."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import DECODERS, EXPERTS, reference_logits, texts
from torch import Tensor

from burnish.contracts.session import Session
from burnish.engine import session as session_module
from burnish.engine.session import DecoderSession, open_session
from burnish.kernels import ops
from burnish.kv.dense import DenseCache, ExtendAttend, StepAttend
from burnish.kv.rope import Rope
from burnish.models.load import Model

CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def small_session(model: Model, *, num_slots: int = 4, chunk_rows: int = 512) -> DecoderSession:
    return DecoderSession(
        model.network, num_slots=num_slots, capacity_tokens=80, dtype=model.dtype,
        device=model.device, chunk_rows=chunk_rows,
    )  # fmt: skip


def check_last(found: Tensor, slots: Sequence[Sequence[int]], reference: Any) -> None:
    wanted = torch.stack([reference_logits(reference, tokens)[-1] for tokens in slots])
    torch.testing.assert_close(found, wanted, **CLOSE)


def check_prefill(model: Model, reference: Any, *, chunk_rows: int) -> None:
    """Ragged prompts, cut wherever: the logits of each whole prompt, then of a step after it."""
    session, prompts = small_session(model, chunk_rows=chunk_rows), texts()
    check_last(session.prefill([2, 0, 1, 3], prompts), prompts, reference)
    slots = [prompts[1], prompts[2], prompts[0], prompts[3]]
    check_last(session.step([9, 8, 7, 6]), [[*s, 9 - i] for i, s in enumerate(slots)], reference)


@pytest.mark.parametrize("chunk_rows", [1, 7, 64])
@pytest.mark.parametrize("family", DECODERS)
def test_chunked_equals_whole(
    family: str, chunk_rows: int, tiny_model: Any, tiny_reference: Any
) -> None:
    check_prefill(tiny_model(family), tiny_reference(family), chunk_rows=chunk_rows)


def check_steps(model: Model, reference: Any) -> None:
    """Texts that grow token by token, from one token on, have whole texts' logits."""
    session, whole = small_session(model), texts([25, 25, 25])
    lengths = [1, 9, 4]
    check_last(
        session.prefill([0, 1, 2], [t[:n] for t, n in zip(whole, lengths, strict=True)]),
        [t[:n] for t, n in zip(whole, lengths, strict=True)], reference,
    )  # fmt: skip
    for _ in range(14):
        found = session.step([t[n] for t, n in zip(whole, lengths, strict=True)])
        lengths = [n + 1 for n in lengths]
        check_last(found, [t[:n] for t, n in zip(whole, lengths, strict=True)], reference)


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS])
def test_step_equals_whole(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    check_steps(tiny_model(family), tiny_reference(family))


def check_slots(session: Session, reference: Any) -> None:
    """Slots that move, are copied, filled again and added to hold what they should."""
    one, two, three = texts([9, 4, 6])
    session.prefill([0, 1], [one, two])
    kept = session.snapshot(0)
    check_last(session.step([7, 8]), [[*one, 7], two := [*two, 8]], reference)
    session.move(1, 0)
    session.restore(1, kept)
    check_last(session.step([9, 5]), [two := [*two, 9], one := [*one, 5]], reference)
    check_last(session.prefill([2, 3], [three, two]), [three, two], reference)
    longer = [[*two, 3], [*one, 4], [*three, 5], [*two, 6]]
    check_last(session.step([3, 4, 5, 6]), longer, reference)
    session.clear(1)
    appended = [[*longer[0], *three], two]
    check_last(session.prefill([0, 1], [three, two]), appended, reference)
    check_last(session.step([5, 6]), [[*appended[0], 5], [*two, 6]], reference)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_shared_prefix_and_moved_slots(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    session = open_session(tiny_model(family), num_slots=4, capacity_tokens=80)
    check_slots(session, tiny_reference(family))


def expect_red(check: Callable[[], None]) -> None:
    with pytest.raises(AssertionError):
        check()


def test_planted_step_rotated_one_late(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(Rope):
        def at(self, positions: Tensor, dtype: torch.dtype) -> Any:
            return super().at(positions + 1, dtype)

    def spoilt(
        cache: DenseCache, num_rows: int, rope: Rope, windows: Any, **given: Any
    ) -> StepAttend:
        late = Late.__new__(Late)
        late.__dict__ = vars(rope)
        return StepAttend(cache, num_rows, late, windows, **given)

    monkeypatch.setattr(session_module, "StepAttend", spoilt)
    expect_red(lambda: check_steps(tiny_model("llama"), tiny_reference("llama")))


def test_planted_chunks_do_not_see_earlier_ones(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(self: ExtendAttend, layer: int, slot: int, start: int, query: Tensor) -> Tensor:
        self._cache.cells[layer, :, slot, :, :start] = 0
        return exact(self, layer, slot, start, query)

    exact = ExtendAttend._sequence
    monkeypatch.setattr(ops, "usable", lambda *tensors: False)  # planted in the plain path
    monkeypatch.setattr(ExtendAttend, "_sequence", forgetful)
    model, reference = tiny_model("llama"), tiny_reference("llama")
    check_prefill(model, reference, chunk_rows=64)  # one chunk a prompt: nothing to forget
    expect_red(lambda: check_prefill(model, reference, chunk_rows=7))


def test_planted_lengths_not_advanced(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(self: DecoderSession, tokens: Sequence[int]) -> Tensor:
        found = exact(self, tokens)
        self.cache.lengths[len(tokens) - 1] -= 1
        return found

    exact = DecoderSession.step
    monkeypatch.setattr(DecoderSession, "step", stuck)
    expect_red(lambda: check_steps(tiny_model("llama"), tiny_reference("llama")))


def test_passes_hold_no_more_rows_than_asked(tiny_model: Any) -> None:
    for chunk_rows in (1, 4, 7, 100):
        for lengths in ([5], [3, 3, 3], [1, 20, 1, 6]):
            passes = session_module._passes(lengths, chunk_rows)
            pieces = [piece for some in passes for piece in some]
            assert all(sum(e - b for _, b, e in some) <= chunk_rows for some in passes)
            rows = [(i, t) for i, begin, end in pieces for t in range(begin, end)]
            assert rows == [(i, t) for i, n in enumerate(lengths) for t in range(n)]
            alone = session_module._passes(lengths[-1:], chunk_rows)
            cuts = [(b, e) for some in alone for _, b, e in some]
            assert [(b, e) for i, b, e in pieces if i == len(lengths) - 1] == cuts


def check_bits_of_a_prefix(model: Model) -> None:
    """A prompt read in one go and one read after its own beginning have the same bits."""
    source = torch.Generator().manual_seed(2)
    for length in (40, 512, 513, 520, 530):
        prompt = torch.randint(3, 269, (length,), generator=source).tolist()
        found = []
        for cut in (0, 16, 24):
            session = open_session(model, num_slots=1, capacity_tokens=length)
            if cut:
                session.prefill([0], [prompt[:cut]])
            found.append(session.prefill([0], [prompt[cut:]]))
        assert torch.equal(found[0], found[1]), length
        assert torch.equal(found[0], found[2]), length


def test_bits_do_not_depend_on_a_shared_prefix(tiny_model: Any, num_threads: int) -> None:
    check_bits_of_a_prefix(tiny_model("llama-wide", "bf16"))


def check_pieces_are_large() -> None:
    """Pieces cover each prompt; small ones, whose bits are others, only where it is small."""
    for length in (1, 15, 512, 513, 527, 528, 1025):
        pieces = [p for some in session_module._passes([length], 512) for p in some]
        assert [begin for _, begin, _ in pieces] == [0, *(end for *_, end in pieces[:-1])]
        assert pieces[-1][2] == length
        assert all(min(length, 16) <= end - begin <= 512 for _, begin, end in pieces)


def test_long_prompts_leave_no_small_piece() -> None:
    check_pieces_are_large()


def test_planted_last_piece_of_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "LEAST_ROWS", 0)
    expect_red(check_pieces_are_large)


def test_both_kinds_of_session_fit_the_contract(tiny_model: Any) -> None:
    for family in ("llama", "gpt2"):
        session = open_session(tiny_model(family), num_slots=2, capacity_tokens=8)
        assert isinstance(session, Session)
