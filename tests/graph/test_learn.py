"""Training: weight 0, other batches, what feedback changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.graphs import QUICK, planted_graph, planted_world

from burnish.graph import learn
from burnish.graph.learn import Feedback, encode, train_retriever
from burnish.graph.settings import FeedbackSettings

WORLD = planted_world(planted_graph(90, text=True, edges=True))
SHORT = replace(QUICK, epochs=6)
FEEDBACK = Feedback(
    queries=np.array([0, 3, 5]),
    candidates=np.array([[1, 2, 4], [2, 7, -1], [6, 8, 9]]),
    utilities=np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.0], [0.5, 0.5, 0.5]]),
)


def trained(how=SHORT, **more):
    return train_retriever(WORLD.problem, WORLD.features, how, seed=1, **more)


def weights(retriever):
    return torch.cat([p.reshape(-1) for p in retriever.state_dict().values()])


def check_weight_zero():
    plain, _ = trained()
    with_zero, told = trained(feedback=(FEEDBACK, FeedbackSettings(weight=0.0)))
    assert torch.equal(weights(plain), weights(with_zero)) and "feedback_loss" not in told


def test_weight_zero_is_the_plain_network():
    check_weight_zero()
    some, told = trained(feedback=(FEEDBACK, FeedbackSettings(weight=0.5)))
    assert not torch.equal(weights(some), weights(trained()[0]))
    assert told["flat_queries"] == 1 and told["feedback_loss"] > 0


def test_nodes_without_feedback_count_in_its_mean():
    """A tenth of the pool with feedback weighs a tenth of what the same for all of it does."""
    num = len(WORLD.problem.pool)
    times = num // len(FEEDBACK.queries)
    assert times * len(FEEDBACK.queries) == num
    every = Feedback(**{name: np.tile(one, (times, 1)[: one.ndim])
                        for name, one in vars(FEEDBACK).items()})  # fmt: skip
    some, _ = trained(feedback=(FEEDBACK, FeedbackSettings(weight=0.5)))
    all_of_it, _ = trained(feedback=(every, FeedbackSettings(weight=0.5 / times)))
    more, _ = trained(feedback=(every, FeedbackSettings(weight=0.5)))
    assert torch.allclose(weights(some), weights(all_of_it), atol=1e-4)
    assert not torch.allclose(weights(more), weights(all_of_it), atol=1e-2)


def test_planted_weight_that_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(learn, "feedback_loss", lambda *_: (torch.tensor(0.0), 0))
    real = learn._Course.supervised

    def draws(self, places):
        self._rng.random()
        torch.rand(1)
        return real(self, places)

    plain, _ = trained()
    monkeypatch.setattr(learn._Course, "supervised", draws)
    assert not torch.equal(weights(plain), weights(trained()[0]))


@pytest.mark.parametrize("how", [{"batch_items": 16}, {"batch_items": 16, "fanouts": (2, 2)}])
def test_batches_learn_too(how):
    settings = replace(QUICK, epochs=25, **how)
    retriever, _ = trained(settings, feedback=(FEEDBACK, FeedbackSettings()))
    found = encode(retriever, WORLD.problem, WORLD.features, WORLD.problem.queries)
    right = found.classes.argmax(1)
    classes = [WORLD.problem.classes[i] for i in right]
    wanted = [WORLD.problem.answers[q] for q in WORLD.problem.queries]
    assert np.mean([a == b for a, b in zip(classes, wanted, strict=True)]) > 0.8
    again, _ = trained(settings, feedback=(FEEDBACK, FeedbackSettings()))
    assert torch.equal(weights(retriever), weights(again))


def check_batches(retriever):
    everything = np.arange(90)
    whole = encode(retriever, WORLD.problem, WORLD.features, everything)
    for item in (0, 41):
        alone = encode(retriever, WORLD.problem, WORLD.features, np.array([item]))
        assert np.allclose(alone.compared[0], whole.compared[item], atol=1e-5)
        assert np.allclose(alone.classes[0], whole.classes[item], atol=1e-5)


def test_vectors_do_not_depend_on_the_batch(monkeypatch):
    retriever, _ = trained()
    monkeypatch.setattr(learn, "ROWS", 7)
    check_batches(retriever)
    empty = encode(retriever, WORLD.problem, WORLD.features, np.array([], dtype=np.int64))
    assert empty.compared.shape == (0, 13) and empty.classes.shape == (0, 3)


def test_planted_norm_over_the_batch():
    retriever, _ = trained()
    retriever.norms = torch.nn.ModuleList(
        torch.nn.BatchNorm1d(23, track_running_stats=False) for _ in retriever.norms
    )
    with pytest.raises((AssertionError, ValueError)):
        check_batches(retriever)


def test_inductive_training_does_not_see_edges_of_queries():
    problem = WORLD.problem
    hidden = replace(problem, training=problem.graph.without_edges_of(problem.queries))
    one, _ = train_retriever(hidden, WORLD.features, SHORT, seed=1)
    garbage = hidden.graph.permuted(np.random.default_rng(0))
    other, _ = train_retriever(replace(hidden, graph=garbage), WORLD.features, SHORT, seed=1)
    assert torch.equal(weights(one), weights(other))
