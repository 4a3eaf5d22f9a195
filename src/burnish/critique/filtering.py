"""Filter critiques: refine with each, count right refinements, compare with a placebo."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from burnish.base.rng import derive_seed
from burnish.contracts.generation import Sampling
from burnish.contracts.task import Verdict
from burnish.critique.filters import FilterSettings, is_kept, leaks, masked, shuffled
from burnish.critique.players import Player, Wish
from burnish.critique.triples import Triple
from burnish.critique.wording import Wording
from burnish.data.checkers import judge


def filter_triples(
    triples: Sequence[Triple],
    actor: Player,
    settings: FilterSettings,
    wording: Wording,
    *,
    temperature: float = 0.7,
    max_new_tokens: int = 128,
    seed: int = 0,
) -> tuple[list[Triple], dict[str, Any]]:
    """The triples that are kept, with scores, and the reasons for dropping the others.

    Critiques of right solutions are kept as they are: there is nothing to refine. A leak is
    dropped, masked or kept before anything is measured.
    Source: arXiv 2411.16579, stage 3; the counterfactual and the audit are ours.
    Oracle: tests/critique/test_filtering.py::test_planted_useless_and_leaking_critiques_are_caught
    """
    leaking = {triple.id for triple in triples if leaks(triple)}
    open_ = [_unleaked(t, settings, t.id in leaking) for t in triples]
    flawed = [t for t in open_ if t is not None and not t.solution.right]
    given = {"temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed}
    rights = _rights(flawed, [t.critique for t in flawed], actor, settings, wording, "with", given)
    placebo: list[int] | list[None] = [None] * len(flawed)
    if settings.kind == "counterfactual":
        others = shuffled(flawed) if settings.placebo == "shuffled" else [""] * len(flawed)
        placebo = _rights(flawed, others, actor, settings, wording, "placebo", given)
    kept = {t.id: t for t in open_ if t is not None and t.solution.right}
    for triple, right, other in zip(flawed, rights, placebo, strict=True):
        if is_kept(right, other, settings):
            scores = {"right_with": right, "right_placebo": other}
            kept[triple.id] = replace(triple, scores={**triple.scores, **scores})
    order = [kept[t.id] for t in triples if t.id in kept]
    return order, _counts(triples, flawed, order, leaking, rights, placebo, settings)


def _unleaked(triple: Triple, settings: FilterSettings, is_leak: bool) -> Triple | None:
    if not is_leak or settings.leaks == "keep":
        return triple
    if settings.leaks == "drop":
        return None
    return replace(triple, critique=masked(triple.critique, triple.solution.task.answer))


def _rights(
    triples: Sequence[Triple],
    critiques: Sequence[str],
    actor: Player,
    settings: FilterSettings,
    wording: Wording,
    name: str,
    given: dict[str, Any],
) -> list[int]:
    """Right refinements of each triple under the given critiques."""
    wishes = [
        Wish(
            id=f"{triple.id}/{number}",
            prompt=wording.refine_prompt(
                triple.solution.task.prompt, triple.solution.text, critique
            ),
            sampling=Sampling(
                max_new_tokens=given["max_new_tokens"],
                temperature=given["temperature"],
                seed=derive_seed(given["seed"], "filter", triple.id, number),
            ),
        )
        for triple, critique in zip(triples, critiques, strict=True)
        for number in range(settings.num_refinements)
    ]
    written = actor.write(f"refined-{name}", wishes)
    counts: list[int] = []
    for place, triple in enumerate(triples):
        part = written[place * settings.num_refinements : (place + 1) * settings.num_refinements]
        verdicts = [judge(one.text, triple.solution.task).verdict for one in part]
        counts.append(sum(verdict == Verdict.RIGHT for verdict in verdicts))
    return counts


def _counts(
    triples: Sequence[Triple],
    flawed: Sequence[Triple],
    kept: Sequence[Triple],
    leaking: set[str],
    rights: Sequence[int],
    placebo: Sequence[int | None],
    settings: FilterSettings,
) -> dict[str, Any]:
    tried = max(1, len(flawed) * settings.num_refinements)
    others = [one for one in placebo if one is not None]
    return {
        "num": len(triples),
        "num_kept": len(kept),
        "num_right_solutions": sum(t.solution.right for t in triples),
        "num_leaking": len(leaking),
        "num_useless": len(flawed) - sum(not t.solution.right for t in kept),
        "rate_with": sum(rights) / tried if flawed else None,
        "rate_placebo": sum(others) / tried if others else None,
        "right_with": dict(Counter(map(str, rights))),
        "kept_by_origin": dict(Counter(t.solution.origin for t in kept)),
    }
