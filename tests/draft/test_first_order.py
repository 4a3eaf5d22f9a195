"""Self-speculation: the text of plain decoding, in fewer full passes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fixtures.tiny import texts

from burnish.arch.blocks import blocks
from burnish.arch.blocks.pcformer import PCformerBlock
from burnish.arch.upcycle_solver import upcycle_solver
from burnish.base.errors import ModelError
from burnish.contracts.drafter import Anchor
from burnish.contracts.generation import Request, Sampling
from burnish.draft import first_order as module
from burnish.draft.first_order import FirstOrder
from burnish.draft.loop import generate_drafted
from burnish.engine.generate import generate
from burnish.models.load import Model, load_model


@pytest.fixture
def model(tiny_folder: Any) -> Model:
    """A solver that changes the plain model a little, so that drafts are often right."""
    plain = load_model(str(tiny_folder("llama")), precision="fp32", device="cpu")
    block = blocks.parse("pcformer:order=2,beta=0.1")
    assert isinstance(block, PCformerBlock)
    return upcycle_solver(plain, block).model


def requests(temperature: float) -> list[Request]:
    return [
        Request(
            id=str(number),
            prompt=tuple(tokens),
            sampling=Sampling(max_new_tokens=17, temperature=temperature, seed=number),
        )
        for number, tokens in enumerate(texts((11, 3, 29, 5)))
    ]


def check_drafted(model: Model) -> None:
    for temperature in (0.0, 0.9):
        plain = generate(model, requests(temperature), batch_size=3)
        drafted = generate_drafted(
            model, requests(temperature), drafter="first_order:tokens=3", batch_size=3
        )
        assert [one.tokens for one in drafted] == [one.tokens for one in plain]
        if not temperature:
            passes = [sum(one.num_passes for one in some) for some in (drafted, plain)]
            assert passes[0] < 0.7 * passes[1]


def test_drafted_equals_plain(model: Model) -> None:
    check_drafted(model)


def test_planted_first_order_that_stays_on(model: Model, monkeypatch: Any) -> None:
    """The verifying pass is then the drafting one: another model's text."""

    @contextmanager
    def stays(network: Any) -> Iterator[None]:
        network.model.first_order = True
        yield

    monkeypatch.setattr(module, "first_order", stays)
    with pytest.raises(AssertionError):
        check_drafted(model)


def test_slots_follow_texts(model: Model) -> None:
    """Proposals do not depend on what was proposed before, or beside."""
    sequences = texts((7, 12, 5))
    proposer = FirstOrder(tokens=4).begin(model)
    alone = [
        FirstOrder(tokens=4).begin(model).propose([Anchor(tokens=tokens)])[0]
        for tokens in sequences
    ]
    assert proposer.propose([Anchor(tokens=t) for t in sequences]) == alone
    swapped = [sequences[2], sequences[0]]
    assert proposer.propose([Anchor(tokens=t) for t in swapped]) == [alone[2], alone[0]]
    longer = [[*sequences[0], 9, 10], sequences[1][:6]]
    fresh = [FirstOrder(tokens=4).begin(model).propose([Anchor(tokens=t)])[0] for t in longer]
    assert proposer.propose([Anchor(tokens=t) for t in longer]) == fresh


def test_a_model_without_solver_is_refused(tiny_folder: Any) -> None:
    plain = load_model(str(tiny_folder("llama")), precision="fp32", device="cpu")
    with pytest.raises(ModelError, match="no cheaper pass"):
        FirstOrder().begin(plain)
