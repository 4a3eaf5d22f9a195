"""A fit to plan with: from a run, or published."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.files import read_json
from burnish.scaling.fitting import Fit
from burnish.scaling.laws import laws
from burnish.scaling.published import published_fit

WHAT = "scaling-fit"
DRAWS = "draws.json"
STAGE = "fit"


@dataclass(frozen=True, kw_only=True)
class KnownFit:
    """A fit and its report."""

    fit: Fit
    told: Mapping[str, Any]

    @property
    def largest_flops(self) -> float:
        """Compute of the largest run behind the fit."""
        return float(self.told["range"]["c"][1])

    @property
    def most_experts(self) -> float:
        """The most experts of any run behind the fit."""
        return float(self.told["range"].get("e", [1.0, 1.0])[1])


def open_fit(name: str) -> KnownFit:
    """The fit of a run folder, or a published one.

    Raises: InputError, for a run of another kind; UnknownNameError.
    Source: ours. Oracle: tests/scaling/test_known.py::test_a_run_is_the_fit_it_holds
    """
    path = Path(name)
    if not (path / "run.json").is_file():
        published = published_fit(name)
        law = laws.parse(published.law)
        theta = law.theta(published.params)
        fit = Fit(law=law, theta=theta, objective=0.0, draws=np.empty((0, len(theta))))
        return KnownFit(fit=fit, told=published.told())
    info = read_json(path / "run.json")
    if info["what"] != WHAT:
        rule = "must be a run of `burnish scaling fit`"
        raise InputError("--fit", info["what"], rule, remedy="Name its folder")
    result = read_json(path / "result.json")
    law = laws.parse(result["law"])
    draws = np.array(read_json(path / "stages" / STAGE / DRAWS), dtype=float)
    fit = Fit(
        law=law,
        theta=law.theta(result["params"]),
        objective=result["objective"],
        draws=draws.reshape(-1, len(law.params)),
    )
    return KnownFit(fit=fit, told=result)
