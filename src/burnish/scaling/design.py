"""The next run: the one that reduces the variance of the target prediction most per FLOP."""

from typing import Any

import numpy as np

from burnish.contracts.law import Columns
from burnish.scaling.fitting import Fit, jacobian
from burnish.scaling.runs import Runs

RIDGE = 1e-12


def next_run(fit: Fit, runs: Runs, candidates: Columns, target: Columns) -> list[dict[str, Any]]:
    """Candidates ranked by how much of the target's predicted variance they remove per FLOP.

    Linear in the parameters around the fit, equal noise of log loss in all runs; `variance_cut`
    is the share of today's variance that the run would remove.
    Source: D-optimal design's c-criterion (Pukelsheim 2006), by the Sherman-Morrison identity.
    Oracle: tests/scaling/test_design.py::test_equals_refitting_with_the_run
    """
    law, theta = fit.law, fit.theta
    have = jacobian(law.surface(runs.columns), theta, len(runs.loss))
    offered = jacobian(law.surface(candidates), theta, len(candidates["c"]))
    aim = jacobian(law.surface(target), theta, 1)[0]
    scale = np.linalg.norm(have, axis=0)
    scale[scale == 0] = 1.0
    have, offered, aim = have / scale, offered / scale, aim / scale
    inverse = np.linalg.inv(have.T @ have + RIDGE * np.eye(len(theta)))
    today = float(aim @ inverse @ aim)
    reach = offered @ inverse @ aim
    own = np.einsum("ri,ij,rj->r", offered, inverse, offered)
    cut = reach**2 / (1 + own) / today
    order = np.argsort(-cut / candidates["c"], kind="stable")
    names = [name for name in ("n", "d", "e", "k", "c") if name in candidates]
    return [
        {name: float(candidates[name][i]) for name in names}
        | {"variance_cut": float(cut[i]), "cut_per_flop": float(cut[i] / candidates["c"][i])}
        for i in order
    ]
