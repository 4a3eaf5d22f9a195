"""A law fitted to runs, with its full report; or all laws, ranked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.stats import percentile_interval
from burnish.scaling.fitting import Fit, fit_law
from burnish.scaling.holdout import holdout_error
from burnish.scaling.identify import check_identified, report
from burnish.scaling.isoflop import isoflop
from burnish.scaling.laws import laws
from burnish.scaling.rules import rules_of
from burnish.scaling.runs import Runs
from burnish.scaling.settings import FitSettings

BASELINE = "compute"
MORE_SPECS = ("experts:variable=e", "experts:families=separate")
TENSION = (
    "With one alpha and one beta for all E the allocation exponent beta / (alpha + beta) is the "
    "same for all E. The paper gives 0.507 for dense and 0.590 for MoE models, which such a law "
    "cannot: only separate exponents (experts:families=separate), or an interaction (joint), can. "
    "In force here: {which}."
)


@dataclass(frozen=True, kw_only=True)
class LawReport:
    """A fit, and its entries of `result.json`."""

    fit: Fit
    told: Mapping[str, Any]


def analyse(
    spec: str, runs: Runs, settings: FitSettings, base: Mapping[str, Any] | None = None
) -> LawReport:
    """Fit the law of a spec, and report it; `base` is the baseline's held-out error, if known.

    Raises: InputError, where the runs cannot identify it; UnknownNameError.
    Source: ours. Oracle: tests/scaling/test_analyse.py::test_planted_law_in_every_number
    """
    law = laws.parse(spec)
    check_sigma(runs, settings)
    check_identified(spec, law, runs)
    fit = fit_law(law, runs.columns, runs.loss, settings)
    intervals = _intervals(fit, len(runs.loss), settings)
    condition, weak = report(fit, runs, intervals)
    allocation = dict(law.allocation(fit.natural))
    held = holdout_error(spec, law, runs, settings)
    base = base or _baseline(runs, settings)
    rest = np.log(runs.loss) - np.log(fit.predict(runs.columns))
    told: dict[str, Any] = {
        "law": spec,
        "counts": runs.counts,
        "num_runs": len(runs.loss),
        "params": fit.natural,
        "objective": fit.objective,
        "intervals": intervals,
        "confidence": settings.confidence,
        "num_widened": num_widened(fit, settings),
        "allocation_exponent": next(iter(allocation.values()), None),
        "allocation": allocation,
        "condition": condition,
        "holdout_error": held["median"],
        "holdout": held,
        "baseline_holdout": base,
        "rmse_log_loss": float(np.sqrt(np.square(rest).mean())),
        "aic": _aic(rest, len(law.params)),
        "identified": not weak,
        "not_identified": weak,
        "seed_noise": runs.seed_noise,
        "range": _range(runs),
        "isoflop": isoflop(runs, fit.natural if spec == "chinchilla" else None),
        "rules": rules_of(runs),
        "notes": [*runs.notes, *_tension(spec)],
    }
    return LawReport(fit=fit, told=told)


def analyse_all(runs: Runs, settings: FitSettings) -> LawReport:
    """Fit every law that the runs identify; report the best on the held-out largest runs.

    Source: ours. Oracle: tests/scaling/test_analyse.py::test_the_planted_law_ranks_first
    """
    found, refused = [], []
    base, quick = _baseline(runs, settings), replace(settings, resamples=0)
    for spec in (*laws.names(), *MORE_SPECS):
        reason = _out_of_place(spec, runs)
        try:
            if reason:
                raise InputError(spec, "", reason, remedy="")
            one = analyse(spec, runs, quick, base)
        except InputError as error:
            refused.append({"law": spec, "why": error.rule})
            continue
        found.append((spec, one.told))
    if not found:
        rule = "identify no law"
        raise InputError("runs", len(runs.loss), rule, remedy=refused[0]["why"])
    found.sort(key=lambda pair: (pair[1]["holdout_error"] is None, pair[1]["holdout_error"] or 0))
    names = ("holdout_error", "rmse_log_loss", "aic", "allocation_exponent", "identified")
    ranking = [{"law": spec} | {name: told[name] for name in names} for spec, told in found]
    best = analyse(found[0][0], runs, settings, base)
    return replace(best, told={**best.told, "ranking": ranking, "refused": refused})


def num_widened(fit: Fit, settings: FitSettings) -> int:
    """How many parameters intervals are widened for: none under Huber's loss with a small delta.

    Source: ours, by simulation. Oracle: tests/scaling/test_fitting.py::test_intervals_cover
    """
    return 0 if settings.delta else len(fit.theta)


def _baseline(runs: Runs, settings: FitSettings) -> dict[str, Any]:
    return holdout_error(BASELINE, laws.parse(BASELINE), runs, settings)


def check_sigma(runs: Runs, settings: FitSettings) -> None:
    """Raise InputError where a fixed irreducible loss is above a loss that was reached."""
    if settings.sigma is None:
        return
    if settings.sigma <= 0:
        raise InputError("sigma", settings.sigma, "must be positive", remedy="Losses are in nats")
    below = [line for line, loss in zip(runs.lines, runs.loss, strict=True)
             if loss <= settings.sigma]  # fmt: skip
    if below:
        rule = f"must be below every loss, but lines {', '.join(map(str, below[:10]))} are not"
        raise InputError("sigma", settings.sigma, rule, remedy="Fit it: remove fit.sigma")


def draws_of(fit: Fit) -> dict[str, np.ndarray]:
    """Bootstrapped natural parameters and allocation exponents by name."""
    natural = fit.law.natural(fit.draws)
    found = dict(zip(fit.law.params, natural.T, strict=True))
    rows = [dict(zip(fit.law.params, row, strict=True)) for row in natural]
    exponents = [fit.law.allocation(row) for row in rows]
    for family in exponents[0] if exponents else ():
        found[f"allocation:{family}"] = np.array([row[family] for row in exponents])
    return found


def _intervals(fit: Fit, num_runs: int, settings: FitSettings) -> dict[str, list[float] | None]:
    if len(fit.draws) < 2:
        return {}
    found: dict[str, list[float] | None] = {}
    for name, draws in draws_of(fit).items():
        ends = percentile_interval(
            draws,
            num_units=num_runs,
            num_fitted=num_widened(fit, settings),
            confidence=settings.confidence,
        )
        key = "allocation_exponent" if name in ("allocation:all", "allocation:dense") else name
        found[key] = [*ends] if np.isfinite(ends).all() else None
    return found


def _aic(rest: np.ndarray, num_params: int) -> float | None:
    """Akaike's criterion of the log-loss residuals; None if they are all zero."""
    left = float(np.square(rest).mean())
    return float(len(rest) * np.log(left) + 2 * (num_params + 1)) if left > 1e-20 else None


def _range(runs: Runs) -> dict[str, list[float]]:
    names = [name for name in ("n", "d", "c", "e", "k", "batch", "lr") if name in runs.columns]
    columns = {name: runs.columns[name] for name in names} | {"loss": runs.loss}
    return {name: [float(v.min()), float(v.max())] for name, v in columns.items()}


def _tension(spec: str) -> list[str]:
    if not spec.startswith("experts"):
        return []
    which = "separate" if "separate" in spec else "shared"
    return [TENSION.format(which=f"{which} exponents")]


def _out_of_place(spec: str, runs: Runs) -> str:
    """Why a law is left out of `all` although the runs have its columns."""
    few = {name: len(np.unique(runs.columns[name])) for name in ("n", "d", "e")}
    if spec in ("clark", "routed") and few["d"] > 1:
        return "holds at one amount of data, and d varies"
    if spec == "data" and few["n"] > 1:
        return "holds at one size, and n varies"
    if spec == "size" and few["d"] > 1:
        return "holds at one amount of data, and d varies"
    return ""
