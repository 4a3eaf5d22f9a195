"""Whether and how drafting pays off here: measured cost times measured acceptance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from burnish.base.errors import InputError, ModelError
from burnish.base.rng import stream
from burnish.base.stats import Estimate, bootstrap
from burnish.contracts.generation import Request, Sampling
from burnish.data.chat import render_prompt
from burnish.draft.acceptance import Use, measure_acceptance
from burnish.draft.cost import PLAIN, Workbench, measure_rows, open_workbench, step_name, time_steps
from burnish.draft.loop import generate_drafted, make_ready
from burnish.draft.maps import Maps, maps_for
from burnish.draft.ranks import Ranks
from burnish.draft.variants import Variant, all_variants
from burnish.models.load import Model

LEAST_GAIN = 1.03  # predicted; below it plain decoding is as fast and simpler
NUM_FINALISTS = 5  # variants that are timed with all repeats
ROUGH_REPEATS = 3
ROW_COUNTS = (1, 2, 4, 6, 8, 12, 16, 24, 32)
ALARM_TOKENS = 1.1  # tokens per pass: so few are accepted only when something is wrong
PROBE = (
    "What is 17 + 25? Explain each step.",
    "Write a Python function that reverses a list.",
    "Name three rivers in Europe and one fact about each of them.",
)
PROBE_TOKENS = 48


@dataclass(frozen=True, kw_only=True)
class Option:
    """A drafting variant. `speedup` over plain decoding: tokens per pass times relative cost.

    `rough`: the step was not timed, but estimated from T(n).
    """

    spec: str
    passes: Literal["one", "two"]
    nodes: int
    offsets: int
    ngram: int
    step_s: float
    tokens_per_pass: float
    speedup: float
    rough: bool = False


@dataclass(frozen=True, kw_only=True)
class DraftPlan:
    """What `draft plan` found. `choice` is a drafter's spec, or `plain`.

    Without `options` even a bound on the best variant's speed-up is too small: `speedup` is that
    bound, which counts nothing but the rows to be verified.
    """

    choice: str
    speedup: Estimate
    batch_size: int
    plain_step_s: float
    options: Sequence[Option] = ()
    probe_tokens_per_pass: float | None = None
    alarms: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """The verdict in one line."""
        texts = "one text" if self.batch_size == 1 else f"{self.batch_size} texts at once"
        if self.choice == PLAIN:
            most = "the best option is" if self.options else "the best option is at most"
            return (
                f"plain decoding is faster with {texts}: {most} predicted to be "
                f"{self.speedup.value:.2f}x as fast"
            )
        low, high = self.speedup.low, self.speedup.high
        rate = f"{self.speedup.value:.2f}x [{low:.2f}, {high:.2f}]"
        return f"draft with {self.choice}: predicted {rate} of plain decoding with {texts}"


def plan_drafts(
    model: Model,
    *,
    weights: str = "",
    use: Use | None = None,
    batch_size: int = 1,
    context_tokens: int = 256,
    repeats: int = 9,
    probing: bool = True,
) -> DraftPlan:
    """Measure steps on this machine, replay answers, choose mode, k and tree.

    The acceptance is that of the model's own answers in that use, written here; without one that
    of the answers that were held out in training. Variants that could not pay if
    pseudo states and proposals were free are left out; of the others those that T(n) favours are
    timed. The speed-up is that of decoding, after the prompt was read. Its interval is that of the
    acceptance over texts; the cost is a median. With `probing` a few short answers are decoded
    for real, and an alarm is raised where next to nothing is accepted.
    Raises InputError for maps without acceptance statistics; ModelError where none fit and there
    are no prompts.
    Source: ours. Oracle: tests/draft/test_planner.py::test_choice_follows_cost_and_acceptance
    """
    maps, ranks = statistics_for(model, weights, use)
    if maps is not None:
        maps = replace(maps, ranks=ranks)
    variants = all_variants(maps, weights, looked_up=ranks.lookup is not None)
    bench = open_workbench(model, context_tokens=context_tokens, batch_size=batch_size)
    kept, bound, plain_s = _screen(bench, variants, ranks)
    if not kept:
        return DraftPlan(choice=PLAIN, speedup=bound, batch_size=batch_size, plain_step_s=plain_s)
    rough = _roughly(bench, kept, maps, ranks)
    finalists = sorted(kept, key=lambda variant: -rough[variant.spec].speedup)[:NUM_FINALISTS]
    priced = price(bench, finalists, maps, ranks, repeats=repeats)
    best = max(finalists, key=lambda variant: priced[variant.spec][0].speedup)
    option, plain_s = priced[best.spec]
    speedup = predicted(ranks, best, plain_s / option.step_s)
    probed = probe(model, best.spec) if probing else None
    options = rough | {spec: one for spec, (one, _) in priced.items()}
    return DraftPlan(
        choice=best.spec if speedup.value >= LEAST_GAIN else PLAIN,
        speedup=speedup,
        batch_size=batch_size,
        plain_step_s=plain_s,
        options=sorted(options.values(), key=lambda one: (one.rough, -one.speedup)),
        probe_tokens_per_pass=probed,
        alarms=alarms(probed, option.tokens_per_pass, maps),
    )


def statistics_for(model: Model, weights: str, use: Use | None) -> tuple[Maps | None, Ranks]:
    """The maps, if there are any, and the acceptance to go by: in that use, or held out.

    Raises ModelError without maps and prompts; InputError for maps without statistics.
    """
    try:
        maps = maps_for(model, "firp", weights)
    except ModelError:
        if weights or use is None:
            raise
        maps = None
    if use is not None:
        return maps, measure_acceptance(model, maps, use)
    assert maps is not None
    if maps.ranks is None:
        rule, remedy = "must contain acceptance statistics", "Train again: burnish draft train"
        raise InputError("draft weights", weights, rule, remedy=remedy)
    return maps, maps.ranks


def _screen(
    bench: Workbench, variants: Sequence[Variant], ranks: Ranks
) -> tuple[list[Variant], Estimate, float]:
    """Variants whose nodes alone do not cost too much; the best bound; seconds of a plain step.

    A pass costs at least what its nodes cost without pseudo states and proposals.
    """
    sizes = sorted({variant.tree.num_nodes for variant in variants})
    costs = measure_rows(bench, sizes, repeats=ROUGH_REPEATS)
    if not variants:  # no guess was ever right, and nothing was looked up
        return [], Estimate(value=1.0, low=1.0, high=1.0, n=len(ranks.lengths)), costs.plain_s
    relative = {
        variant.spec: costs.plain_s / costs.at(variant.tree.num_nodes) for variant in variants
    }
    bounds = {
        variant.spec: ranks.tokens_per_pass(variant.tree, variant.ngram) * relative[variant.spec]
        for variant in variants
    }
    best = max(variants, key=lambda variant: bounds[variant.spec])
    kept = [variant for variant in variants if bounds[variant.spec] >= LEAST_GAIN]
    return kept, predicted(ranks, best, relative[best.spec]), costs.plain_s


def _roughly(
    bench: Workbench, variants: Sequence[Variant], maps: Maps | None, ranks: Ranks
) -> dict[str, Option]:
    """Rough speed-ups of all variants from T(n) alone, to select which ones to time."""
    most = max(variant.num_nodes * (1 + variant.offsets) for variant in variants)
    counts = [n for n in ROW_COUNTS if n < most] + [most]
    costs = measure_rows(bench, counts, repeats=ROUGH_REPEATS)
    entry = min(maps.entries) / bench.model.decoder.shape.num_layers if maps else 1.0
    found = {}
    for variant in variants:
        times = {PLAIN: costs.plain_s} | {
            step_name(variant.spec, chained): costs.variant(
                variant, chained=chained, entry_frac=entry
            )
            for chained in (False, True)
        }
        found[variant.spec] = replace(_option(variant, ranks, times), rough=True)
    return found


def price(
    bench: Workbench, variants: Sequence[Variant], maps: Maps | None, ranks: Ranks, *, repeats: int
) -> dict[str, tuple[Option, float]]:
    """Time whole steps of some variants; each with the seconds of the plain step between them."""
    steps = {PLAIN: bench.plain}
    for variant in variants:
        ready = variant.ready(bench.model, maps)
        for chained in {False, variant.ngram > 0}:
            steps[step_name(variant.spec, chained)] = bench.drafted(
                ready, variant.example(chained=chained)
            )
    times = time_steps(steps, repeats=repeats)
    return {variant.spec: (_option(variant, ranks, times), times[PLAIN]) for variant in variants}


def _option(variant: Variant, ranks: Ranks, times: Mapping[str, float]) -> Option:
    """A chain costs only in the passes in which one is found."""
    tokens = ranks.tokens_per_pass(variant.tree, variant.ngram)
    share = ranks.share_looked_up(variant.tree, variant.ngram) if variant.ngram else 0.0
    with_chain = times[step_name(variant.spec, variant.ngram > 0)]
    step_s = share * with_chain + (1 - share) * times[step_name(variant.spec, False)]
    return Option(
        spec=variant.spec,
        passes=variant.passes,
        nodes=variant.tree.num_nodes,
        offsets=variant.offsets,
        ngram=variant.ngram,
        step_s=step_s,
        tokens_per_pass=tokens,
        speedup=tokens * times[PLAIN] / step_s,
    )


def predicted(ranks: Ranks, variant: Variant, relative_speed: float) -> Estimate:
    """Predicted speed-up, with an interval from resampling the texts of the acceptance."""
    replayed = ranks.replay(variant.tree, variant.ngram)
    tokens, passes = (np.array(part) for part in zip(*replayed, strict=True))
    if len(tokens) < 2:
        value = float(tokens.sum() / passes.sum()) * relative_speed
        return Estimate(value=value, low=value, high=value, n=len(tokens))

    def ratio(texts: np.ndarray) -> float:
        chosen = texts.astype(int)
        return float(tokens[chosen].sum() / passes[chosen].sum()) * relative_speed

    rng = stream(0, "draft", "plan")
    return bootstrap(np.arange(len(tokens)), rng=rng, statistic=ratio, num_resamples=2000)


def probe(model: Model, spec: str) -> float:
    """Tokens per verifying pass of a few short answers, decoded now."""
    sampling = Sampling(max_new_tokens=PROBE_TOKENS)
    requests = [
        Request(id=text, prompt=tuple(render_prompt(model.tokenizer, text)), sampling=sampling)
        for text in PROBE
    ]
    done = generate_drafted(model, requests, drafter=make_ready(spec, model), batch_size=1)
    passes = sum(one.num_passes - 1 for one in done)
    return sum(max(len(one.tokens) - 1, 0) for one in done) / passes if passes else 1.0


def alarms(probed: float | None, expected: float, maps: Maps | None) -> list[str]:
    """Sentences about an acceptance that cannot be right, with the likely causes."""
    if probed is None or probed >= ALARM_TOKENS or expected < ALARM_TOKENS:
        return []
    entries = list(maps.entries) if maps else "no layer"
    return [
        f"{probed:.2f} tokens per pass were measured where {expected:.2f} were expected: next to "
        "nothing is accepted. Likely causes: another chat template than in training, maps of "
        f"another layer (these enter at {entries}) or model, or another number format"
    ]
