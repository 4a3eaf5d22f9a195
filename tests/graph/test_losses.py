"""Losses against closed forms."""

import itertools
import math

import pytest
import torch
from scipy.stats import entropy

from burnish.base.errors import UnknownNameError
from burnish.graph import losses
from burnish.graph.losses import feedback_loss, infonce, kl_to_utilities, listmle

SCORES = torch.tensor([[0.3, -1.2, 0.8, 0.1]], dtype=torch.double)
ALL = torch.ones(1, 4, dtype=torch.bool)


def check_orders():
    total = 0.0
    for order in itertools.permutations(range(4)):
        utilities = torch.tensor([order], dtype=torch.double)
        total += math.exp(-losses.listmle(SCORES, utilities, ALL).item())
    assert abs(total - 1) < 1e-12


def test_likelihoods_of_all_orders_sum_to_one():
    check_orders()


def test_planted_missing_tail(monkeypatch):
    """Denominators over all candidates at every place, as a softmax has them."""
    monkeypatch.setattr(
        torch.Tensor, "logcumsumexp", lambda x, dim: x.logsumexp(dim, keepdim=True).expand_as(x)
    )
    with pytest.raises(AssertionError):
        check_orders()


def test_listmle_by_hand():
    equal, falling = torch.zeros(1, 4), torch.tensor([[4.0, 3, 2, 1]])
    assert abs(listmle(equal, falling, ALL).item() - math.log(24)) < 1e-6
    pair = torch.tensor([[0.4, -0.3]])
    found = listmle(pair, torch.tensor([[1.0, 0]]), torch.ones(1, 2, dtype=torch.bool))
    assert abs(found.item() - math.log1p(math.exp(-0.7))) < 1e-6  # logistic loss
    assert torch.allclose(listmle(SCORES, SCORES, ALL), listmle(SCORES + 5, SCORES, ALL))


def test_entries_that_are_not_kept_do_not_count():
    kept = torch.tensor([[True, True, False, True]])
    for loss in (listmle, kl_to_utilities, infonce):
        utilities = torch.tensor([[0.2, 0.5, 9.0, 0.3]], dtype=torch.double)
        some = [0, 1, 3]
        wanted = loss(SCORES[:, some], utilities[:, some], ALL[:, some])
        assert torch.allclose(loss(SCORES, utilities, kept), wanted)


@pytest.mark.parametrize("loss", [listmle, kl_to_utilities, infonce])
def test_gradients(loss):
    utilities = torch.tensor([[0.2, 0.5, 0.1, 0.3]], dtype=torch.double)
    scores = SCORES.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, utilities, ALL), (scores,))


def test_kl_equals_scipy():
    utilities = torch.tensor([[0.2, 0.0, 0.5, 0.1]], dtype=torch.double)
    wanted = entropy(utilities[0].numpy(), SCORES.softmax(1)[0].numpy())
    assert abs(kl_to_utilities(SCORES, utilities, ALL).item() - wanted) < 1e-9


def test_infonce_is_cross_entropy():
    utilities = torch.tensor([[0.2, 0.5, 0.1, 0.3]], dtype=torch.double)
    wanted = torch.nn.functional.cross_entropy(SCORES, torch.tensor([1]))
    assert torch.allclose(infonce(SCORES, utilities, ALL), wanted)


def check_flat():
    scores = torch.cat([SCORES, SCORES]).requires_grad_()
    utilities = torch.tensor([[0.5] * 4, [0.1, 0.4, 0.2, 0.3]], dtype=torch.double)
    loss, flat = feedback_loss("listmle", scores, utilities, ALL.expand(2, -1))
    loss.backward()
    assert flat == 1 and not scores.grad[0].any() and scores.grad[1].any()
    alone, flat = feedback_loss("listmle", scores[:1], utilities[:1], ALL)
    assert (alone.item(), flat) == (0.0, 1)


def test_flat_queries_are_skipped():
    check_flat()
    with pytest.raises(UnknownNameError):
        feedback_loss("listnet", SCORES, SCORES, ALL)


def test_planted_order_of_ties(monkeypatch):
    monkeypatch.setattr(losses, "FLAT", -1.0)
    with pytest.raises(AssertionError):
        check_flat()
