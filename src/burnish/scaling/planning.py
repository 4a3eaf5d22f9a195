"""A plan: size, data, experts, batch, learning rate and steps under a budget."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from burnish.base.errors import SettingError
from burnish.base.stats import percentile_interval
from burnish.contracts.training_plan import TrainingPlan
from burnish.scaling.known import KnownFit
from burnish.scaling.optimum import Limits, Optimum, optimum
from burnish.scaling.rules import MOST_LR, Rule, rules_named
from burnish.scaling.settings import PlanSettings

STOPS = 25  # of the slider
OTHER_RULES = ("step-law", "deepseek")
OWN = "own"


def make_plan(settings: PlanSettings, known: KnownFit) -> dict[str, Any]:
    """What `burnish scaling plan` tells: the plan, its intervals, dense against MoE, the slider.

    Raises: SettingError, beyond `extrapolate`, for mixed conventions, or where the fit knows no
    experts; DoesNotFitError, where memory leaves no model.
    Source: ours. Oracle: tests/scaling/test_planning.py::test_plan_equals_the_closed_form
    """
    check_plan(settings, known)
    theta = np.concatenate([known.fit.theta[None], known.fit.draws])
    best = optimum(known.fit.law, theta, _limits(settings))
    batch, lr, law_of = batch_and_lr(settings, known, best)
    told: dict[str, Any] = {
        "fit": settings.fit_name,
        "law": known.told["law"],
        "counts": known.told["counts"],
        "source": known.told.get("source", "own runs"),
        "flops": settings.flops,
        "factor": settings.flops / known.largest_flops,
        "held_out": known.told.get("holdout_error"),
        "n": float(best.n[0]),
        "n_total": float(_limits(settings).total(best.n[:1])[0]),
        "d": float(best.d[0]),
        "experts": settings.experts,
        "top_k": settings.top_k,
        "batch_tokens": float(batch[0]),
        "lr": float(lr[0]),
        "num_steps": max(1, round(float(best.d[0] / batch[0]))),
        "loss": float(best.loss[0]),
        "rule": law_of,
        "confidence": known.told.get("confidence"),
    }
    values = {"n": best.n, "d": best.d, "batch_tokens": batch, "lr": lr, "loss": best.loss}
    told["intervals"] = {name: _interval(draws[1:], known) for name, draws in values.items()}
    told["allocation"] = dict(known.fit.law.allocation(known.fit.natural))
    told["notes"] = _notes(settings, known, told)
    if settings.experts > 1:
        told["dense"] = _against_dense(settings, known, theta, best)
    told["other_rules"] = _other_rules(settings, known, best)
    told["slider"] = slider(settings, known)
    return told


def check_plan(settings: PlanSettings, known: KnownFit) -> None:
    """Raise SettingError for a question that the fit cannot answer."""
    counts = known.told["counts"]
    if settings.counts and settings.counts != counts:
        rule = f"must be the convention of the fit, {counts!r}"
        remedy = "Convert n first; `burnish scaling count` shows each convention"
        raise SettingError("counts", settings.counts, rule, remedy=remedy)
    if settings.experts > 1 and "e" not in known.fit.law.columns:
        rule = f"need a law with an expert term, and {known.told['law']} has none"
        remedy = "Fit --law experts on runs with several e, or --fit step-law-experts"
        raise SettingError("experts", settings.experts, rule, remedy=remedy)
    if settings.experts > 4 * known.most_experts:
        rule = f"must be at most 4 times the most of a run, {known.most_experts:g}"
        raise SettingError("experts", settings.experts, rule, remedy="Add runs with more experts")
    factor = settings.flops / known.largest_flops
    if factor > settings.extrapolate:
        rule, remedy = _beyond(settings, known, factor)
        raise SettingError("flops", settings.flops, rule, remedy=remedy)


def _beyond(settings: PlanSettings, known: KnownFit, factor: float) -> tuple[str, str]:
    """Rule and remedy for a budget too far above the data, with the law's prediction."""
    rule = (
        f"is {factor:.3g} times the largest run ({known.largest_flops:.3g}), "
        f"and the limit is {settings.extrapolate:g}"
    )
    theta = np.concatenate([known.fit.theta[None], known.fit.draws])
    best = optimum(known.fit.law, theta, _limits(settings))
    ends = _interval(best.loss[1:], known)
    says = f"The law would say loss {best.loss[0]:.3f}"
    says += f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else " (no interval)"
    held = known.told.get("holdout_error")
    says += "; held-out error " + (f"{100 * held:.2g}%" if held is not None else "unknown")
    return rule, f"{says}. To go there: --extrapolate {_up(factor):g}"


def _up(factor: float) -> float:
    """A factor rounded up to two digits."""
    power = 10.0 ** (np.floor(np.log10(factor)) - 1)
    return float(np.ceil(round(factor / power, 9)) * power)


def _limits(settings: PlanSettings) -> Limits:
    return Limits(settings=settings, experts=settings.experts, top_k=settings.top_k)


def batch_and_lr(
    settings: PlanSettings, known: KnownFit, best: Optimum
) -> tuple[np.ndarray, np.ndarray, str]:
    """Batch [tokens] and learning rate by the rules in force, and which those are."""
    rules = own_rules(known) if settings.rule == OWN else rules_named(settings.rule)
    default = rules_named("step-law")
    chosen = {name: rules.get(name, default[name]) for name in ("batch", "lr")}
    columns = {"n": best.n, "d": best.d, "c": 6 * best.n * best.d, "loss": best.loss,
               "e": np.full_like(best.n, settings.experts)}  # fmt: skip
    batch = np.minimum(chosen["batch"](columns), best.d)
    names = [f"{name}: {chosen[name].source}" for name in ("batch", "lr")]
    lr = chosen["lr"](columns)
    if chosen["lr"].name != OWN and lr[0] > MOST_LR:
        lr = np.minimum(lr, MOST_LR)
        names[1] += f", at most {MOST_LR:g}"
    return batch, lr, "; ".join(names)


def own_rules(known: KnownFit) -> dict[str, Rule]:
    """Rules that the fit's own runs gave. Raises: SettingError, where they gave none."""
    found = {}
    for target in ("batch", "lr"):
        rules: Mapping[str, Any] = known.told.get("rules") or {}
        for names in ("loss", "n and d"):
            row = rules.get(f"{target} in {names}", {})
            if "factor" in row:
                found[target] = Rule(name=OWN, target=target, source=f"own runs, in {names}",
                                     factor=row["factor"], exponents=row["exponents"])  # fmt: skip
                break
    if not found:
        rule = "needs a fit whose runs vary batch or lr"
        raise SettingError("rule", OWN, rule, remedy="Use step-law or deepseek")
    return found


def _interval(draws: np.ndarray, known: KnownFit) -> list[float] | None:
    if len(draws) < 2:
        return None
    ends = percentile_interval(
        draws, num_units=known.told["num_runs"], num_fitted=known.told["num_widened"],
        confidence=known.told["confidence"],
    )  # fmt: skip
    return [*ends]


def _against_dense(
    settings: PlanSettings, known: KnownFit, theta: np.ndarray, best: Optimum
) -> dict[str, Any]:
    """The dense plan for the same budget, and MoE minus dense loss, paired by draw."""
    dense = replace(settings, experts=1, top_k=1)
    other = optimum(known.fit.law, theta, _limits(dense))
    gap = best.loss - other.loss
    return {
        "n": float(other.n[0]), "d": float(other.d[0]), "loss": float(other.loss[0]),
        "moe_minus_dense": float(gap[0]), "interval": _interval(gap[1:], known),
    }  # fmt: skip


def _other_rules(settings: PlanSettings, known: KnownFit, best: Optimum) -> list[dict[str, Any]]:
    first = Optimum(n=best.n[:1], d=best.d[:1], loss=best.loss[:1])
    found = []
    for name in OTHER_RULES:
        batch, lr, _ = batch_and_lr(replace(settings, rule=name), known, first)
        found.append({"rule": name, "batch_tokens": float(batch[0]), "lr": float(lr[0])})
    return found


def _notes(settings: PlanSettings, known: KnownFit, told: Mapping[str, Any]) -> list[str]:
    notes = [f"Law in force: {known.told['law']}, n counted {known.told['counts']}."]
    if told["factor"] > 1:
        notes.append(f"The budget is {told['factor']:.3g} times the largest run.")
    if told["intervals"]["n"] is None:
        notes.append("A published fit without draws: no intervals.")
    else:
        notes.append("Intervals of batch and lr carry what is not known of n, d and loss, not "
                     "what is not known of the rule.")  # fmt: skip
    if settings.tokens is not None and np.isclose(told["d"], settings.tokens, rtol=1e-3):
        notes.append("The available tokens are the limit: compute is left, or the model is larger.")
    if len(told["allocation"]) == 1 and "e" in known.fit.law.columns:
        a = next(iter(told["allocation"].values()))
        notes.append(f"Shared exponents: a = {a:.3f} for every E; the paper's 0.507 (dense) and "
                     "0.590 (MoE) need separate ones.")  # fmt: skip
    return notes


def slider(settings: PlanSettings, known: KnownFit) -> list[dict[str, float]]:
    """Plans for budgets around the one asked for, a thousandth to a tenfold of the data."""
    top = max(settings.flops, known.largest_flops * min(settings.extrapolate, 10))
    low = min(settings.flops, top / 1e4)
    budgets = np.sort(np.append(np.geomspace(low, top, STOPS - 1), settings.flops))
    found = []
    for flops in np.unique(budgets):
        asked = replace(settings, flops=float(flops))
        try:
            best = optimum(known.fit.law, known.fit.theta[None], _limits(asked))
        except SettingError:
            continue  # too small a budget for any model: no stop there
        batch, lr, _ = batch_and_lr(asked, known, best)
        found.append({
            "flops": float(flops), "n": float(best.n[0]), "d": float(best.d[0]),
            "batch_tokens": float(batch[0]), "lr": float(lr[0]), "loss": float(best.loss[0]),
        })  # fmt: skip
    return found


def plan_file(told: Mapping[str, Any], *, name: str, seed: int) -> TrainingPlan:
    """The plan as the file that pretraining takes."""
    ends = told["intervals"]["loss"] or (None, None)
    return TrainingPlan(
        name=name, law=told["law"], counts=told["counts"], n=told["n"], n_total=told["n_total"],
        experts=told["experts"], top_k=told["top_k"], d_tokens=told["d"],
        batch_tokens=told["batch_tokens"], num_steps=told["num_steps"], lr=told["lr"],
        train_flops=6 * told["n"] * told["d"], loss=told["loss"], loss_low=ends[0],
        loss_high=ends[1], seed=seed,
    )  # fmt: skip
