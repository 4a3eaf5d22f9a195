"""Published fits on the data they were made from."""

import numpy as np
import pytest

from burnish.base.errors import UnknownNameError
from burnish.scaling.fitting import fit_law, make_objective
from burnish.scaling.laws import laws
from burnish.scaling.published import published_fit, published_fits
from burnish.scaling.settings import FitSettings


def test_scores_on_the_data(epoch):
    """Sum of Huber losses on Epoch's 240 points: 0.00123116 and 0.00102284 as published, ours."""
    columns = {name: values[:240] for name, values in epoch[0].items()}
    law, ones = laws.parse("chinchilla"), np.ones((1, 240))
    objective = make_objective(law.surface(columns), epoch[1][:240], ones, FitSettings())
    scores = {
        name: objective(law.theta(published_fit(name).params)[None], np.zeros(1, dtype=int))[0][0]
        for name in ("hoffmann", "epoch", "epoch-refit")
    }
    assert scores["epoch"] == pytest.approx(0.00102284, abs=2e-8)
    assert scores["epoch-refit"] == pytest.approx(0.0010182740, abs=1e-9)
    assert scores["epoch-refit"] < scores["epoch"] < scores["hoffmann"]
    assert scores["hoffmann"] == pytest.approx(0.00123116, rel=0.004)  # constants are rounded


@pytest.mark.parametrize("name", published_fits())
def test_every_fit_says_where_it_is_from(name):
    found = published_fit(name)
    assert found.source and found.trust and found.counts and found.largest_flops > 1e20
    law = laws.parse(found.law)
    assert set(found.params) == set(law.params)
    columns = {
        "n": np.array([1e9]),
        "d": np.array([2e10]),
        "e": np.array([8.0]),
        "k": np.array([2.0]),
    }
    loss = np.exp(law.surface(columns).evaluate(law.theta(found.params)[None])[0][0, 0])
    assert 1.5 < loss < 4
    assert found.told()["range"]["c"][1] == found.largest_flops


def test_more_experts_help():
    found, law = published_fit("step-law-experts"), laws.parse("experts")
    columns = {"n": np.full(4, 1e9), "d": np.full(4, 1e11), "e": np.array([1.0, 4.0, 8.0, 32.0])}
    columns["k"] = np.ones(4)
    losses = law.surface(columns).evaluate(law.theta(found.params)[None])[0][0]
    assert (np.diff(losses) < 0).all()


def test_an_unknown_fit_is_named():
    with pytest.raises(UnknownNameError, match="epoch-refit"):
        published_fit("epoch-refti")


def test_the_experts_fit_is_that_of_step_laws_minima(shared_data, rows_of):
    """33 cells, least smoothed loss of each: E/k gives RMSE 0.0062, no experts 0.0202."""
    best: dict[tuple[float, ...], float] = {}
    for name, size in (("dense", "N"), ("moe", "Na")):
        for row in rows_of(shared_data(f"steplaw/{name}_lr_bs_loss.csv")):
            key = (float(row[size]), float(row["D"]), float(row.get("nume") or 1),
                   float(row.get("topk") or 1))  # fmt: skip
            best[key] = min(best.get(key, np.inf), float(row["smooth loss"]))
    columns = dict(zip(("n", "d", "e", "k"), np.array(list(best)).T, strict=True))
    loss = np.array(list(best.values()))
    assert len(loss) == 33
    for spec, rmse in (("experts", 0.0062), ("experts:variable=e", 0.0057), ("chinchilla", 0.0202)):
        fit = fit_law(laws.parse(spec), columns, loss, FitSettings(resamples=0))
        rest = np.log(fit.predict(columns) / loss)
        assert np.sqrt(np.square(rest).mean()) == pytest.approx(rmse, abs=6e-5)
        if spec == "experts":
            assert fit.natural == pytest.approx(published_fit("step-law-experts").params, rel=1e-3)
