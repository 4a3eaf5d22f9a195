"""Settings that make no sense are refused with the name and the remedy."""

import pytest

from burnish.base.errors import SettingError, UnknownNameError
from burnish.graph.settings import (
    BenchSettings,
    FeedbackSettings,
    ProblemSettings,
    PromptSettings,
    RetrieverSettings,
)


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (ProblemSettings, "labelled_frac", 0.0),
        (ProblemSettings, "labelled_frac", 1.0),
        (ProblemSettings, "queries", 1),
        (RetrieverSettings, "layers", 0),
        (RetrieverSettings, "dropout", 1.0),
        (RetrieverSettings, "temperature", 0.0),
        (RetrieverSettings, "learning_rate", float("nan")),
        (RetrieverSettings, "weight_decay", -1.0),
        (RetrieverSettings, "epochs", -1),
        (FeedbackSettings, "weight", -0.1),
        (FeedbackSettings, "candidates", 1),
        (FeedbackSettings, "nearest", 9),
        (FeedbackSettings, "tokens", -1),
        (PromptSettings, "examples", 0),
        (BenchSettings, "seeds", ()),
        (BenchSettings, "seeds", (0, 1, 0)),
        (BenchSettings, "arms", ("gnn", "gnn")),
        (BenchSettings, "oracle", 1),
        (BenchSettings, "feedback_queries", -1),
        (BenchSettings, "oracle_queries", -1),
    ],
)
def test_refused(make, field, value):
    with pytest.raises(SettingError, match=f"{field}.*must"):
        make(**{field: value})


def test_arms_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'bm25'"):
        BenchSettings(arms=("bm52",))
