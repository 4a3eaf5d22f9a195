"""Any other causal model through its own forward pass."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import ADAPTED, reference_logits, texts
from torch import Tensor

from burnish.models.adapters import Adapter, AdapterSession

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def check_logits(adapter: Adapter, reference: Any) -> None:
    """Kept rows of each text equal transformers' logits of the text alone."""
    sequences = texts([9, 1, 21])
    kept = [slice(3, 7), slice(None), slice(-1, None)]
    with torch.no_grad():
        found = adapter.logits_at(sequences, kept)
    pairs = zip(sequences, kept, strict=True)
    wanted = [reference_logits(reference, tokens)[keep] for tokens, keep in pairs]
    torch.testing.assert_close(found, torch.cat(wanted), **CLOSE)


def check_session(open_session: Callable[[], AdapterSession], reference: Any) -> None:
    """Prefill, steps, moves, copies and more prompt: always the logits of the whole text so far."""

    def check(found: Tensor, slots: Sequence[list[int]]) -> None:
        wanted = torch.stack([reference_logits(reference, tokens)[-1] for tokens in slots])
        torch.testing.assert_close(found, wanted, **CLOSE)

    session = open_session()
    one, two, three = texts([9, 4, 6])
    check(session.prefill([0, 1], [one, two]), [one, two])
    check(session.step([5, 6]), [one := [*one, 5], two := [*two, 6]])
    kept = session.snapshot(0)
    check(session.step([7, 8]), [[*one, 7], two := [*two, 8]])
    session.move(1, 0)
    check(session.step([9]), [two := [*two, 9]])
    session.restore(1, kept)
    check(session.prefill([2], [three]), [three])
    check(session.step([3, 4, 5]), [[*two, 3], [*one, 4], [*three, 5]])
    session.restore(0, kept)  # the copy is as it was
    check(session.step([8]), [one := [*one, 8]])
    check(session.prefill([0], [three]), [[*one, *three]])
    session.clear(0)
    check(session.prefill([0], [two]), [two])


@pytest.mark.parametrize("family", ADAPTED)
def test_logits_equal_transformers(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    network = tiny_model(family).network
    assert isinstance(network, Adapter)
    check_logits(network, tiny_reference(family))


@pytest.mark.parametrize("family", ADAPTED)
def test_session_equals_whole_texts(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    network = tiny_model(family).network
    check_session(lambda: network.session(3), tiny_reference(family))


def test_planted_snapshot_that_is_no_copy(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(self: AdapterSession, slot: int) -> Any:
        return self._caches[slot], self._lengths[slot]

    monkeypatch.setattr(AdapterSession, "snapshot", same)
    with pytest.raises(AssertionError):
        check_session(lambda: tiny_model("gpt2").network.session(3), tiny_reference("gpt2"))


def test_planted_states_given_several_tokens(tiny_model: Any, tiny_reference: Any) -> None:
    class Whole(AdapterSession):
        def prefill(self, slots: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
            return torch.stack([self._run(s, p) for s, p in zip(slots, prompts, strict=True)])

    with pytest.raises(AssertionError):
        check_session(lambda: Whole(tiny_model("mamba").network, 3), tiny_reference("mamba"))


def test_planted_positions_start_again_with_each_call(tiny_model: Any, tiny_reference: Any) -> None:
    class Forgetful(AdapterSession):
        def _run(self, slot: int, tokens: Sequence[int]) -> Tensor:
            self._lengths[slot] = 0
            return super()._run(slot, tokens)

    with pytest.raises(AssertionError):
        check_session(lambda: Forgetful(tiny_model("gpt2").network, 3), tiny_reference("gpt2"))


def test_planted_rows_one_late(tiny_model: Any, tiny_reference: Any) -> None:
    class Late(Adapter):
        def logits_at(self, sequences: Any, kept: Any) -> Tensor:
            return super().logits_at([[*tokens[1:], 3] for tokens in sequences], kept)

    with pytest.raises(AssertionError):
        check_logits(Late(tiny_model("mamba").network.network), tiny_reference("mamba"))


def test_gradients_flow_through_logits_at(tiny_folder: Any) -> None:
    from transformers import AutoModelForCausalLM

    adapter = Adapter(AutoModelForCausalLM.from_pretrained(tiny_folder("gpt2")))
    adapter.logits_at(texts([5]), [slice(-2, None)]).logsumexp(-1).sum().backward()
    assert adapter.network.get_input_embeddings().weight.grad.abs().sum() > 0


@pytest.mark.parametrize("family", ["gpt2", "mamba"])
def test_states_equal_transformers(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    adapter, (tokens,) = tiny_model(family).network, texts([9])
    ids = torch.tensor([tokens])
    with torch.no_grad():
        wanted = tiny_reference(family)(input_ids=ids, output_hidden_states=True).hidden_states
        for layer, place in ((None, -1), (0, 0), (1, 1)):
            torch.testing.assert_close(adapter.states(tokens, layer), wanted[place][0], **CLOSE)
