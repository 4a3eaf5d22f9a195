"""Whether drafting pays here, and how: measured cost times measured acceptance."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from burnish.base.errors import InputError
from burnish.base.rng import stream
from burnish.base.stats import Estimate, bootstrap
from burnish.contracts.drafter import Draft
from burnish.contracts.generation import Request, Sampling
from burnish.data.chat import render_prompt
from burnish.draft.candidates import merged
from burnish.draft.cost import open_workbench, time_steps
from burnish.draft.firp import Firp, pseudo_states
from burnish.draft.loop import Ready, generate_drafted, make_ready
from burnish.draft.maps import Maps, maps_for
from burnish.draft.ranked import RankedProposer, shape_for
from burnish.draft.ranks import Ranks
from burnish.draft.tree import Tree
from burnish.models.load import Model

NUM_NODES = (2, 3, 4, 6)
NUM_NGRAM = (0, 4)
LEAST_GAIN = 1.03  # predicted; below it plain decoding is as fast and simpler
ALARM_TOKENS = 1.1  # tokens a pass: so few are accepted only when something is wrong
PROBE = (
    "What is 17 + 25? Explain each step.",
    "Write a Python function that reverses a list.",
    "Name three rivers in Europe and one fact about each of them.",
)
PROBE_TOKENS = 48


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to draft; `speedup` is over plain decoding: tokens a pass times relative cost."""

    spec: str
    passes: Literal["one", "two"]
    nodes: int
    offsets: int
    ngram: int
    entries: tuple[int, ...]
    step_s: float
    tokens_per_pass: float
    speedup: float


@dataclass(frozen=True, kw_only=True)
class DraftPlan:
    """What `draft plan` found. `choice` is a drafter's spec, or `plain`."""

    choice: str
    speedup: Estimate
    plain_step_s: float
    options: Sequence[Option]
    probe_tokens_per_pass: float
    alarms: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def sentence(self) -> str:
        """The verdict in one line."""
        if self.choice == "plain":
            return (
                f"do not draft: the best option is predicted to be {self.speedup.value:.2f}x "
                "as fast as plain decoding"
            )
        low, high = self.speedup.low, self.speedup.high
        rate = f"{self.speedup.value:.2f}x [{low:.2f}, {high:.2f}]"
        return f"draft with {self.choice}: predicted {rate} of plain decoding"


def plan_drafts(
    model: Model,
    *,
    weights: str = "",
    batch_size: int = 1,
    context_tokens: int = 256,
    repeats: int = 9,
) -> DraftPlan:
    """Measure steps on this machine, replay held-out answers, choose mode, k and tree.

    The interval is that of the acceptance over texts; the cost is a median. A short probe decodes
    for real, and raises an alarm where next to nothing is accepted.
    Raises InputError for maps without acceptance statistics; ModelError where none fit.
    Source: ours. Oracle: tests/draft/test_plan.py::test_choice_follows_cost_and_acceptance
    """
    maps = maps_for(model, "firp", weights)
    if maps.ranks is None:
        rule, remedy = "must hold acceptance statistics", "Train again: burnish draft train"
        raise InputError("draft weights", weights, rule, remedy=remedy)
    ways = candidates(maps, weights)
    bench = open_workbench(model, context_tokens=context_tokens, batch_size=batch_size)
    steps = {"plain": bench.plain}
    for spec, (settings, tree) in ways.items():
        ready = _ready(model, maps, settings, tree)
        for chained in {False, settings.ngram > 0}:
            draft = example(tree, settings.ngram if chained else 0)
            steps[_step_name(spec, chained)] = bench.drafted(ready, draft)
    times = time_steps(steps, repeats=repeats)
    options = [_option(spec, *way, maps, times) for spec, way in ways.items()]
    best = max(options, key=lambda option: option.speedup)
    speedup = predicted(maps.ranks, *ways[best.spec], times["plain"] / best.step_s)
    probed = probe(model, best.spec)
    return DraftPlan(
        choice=best.spec if speedup.value >= LEAST_GAIN else "plain",
        speedup=speedup,
        plain_step_s=times["plain"],
        options=sorted(options, key=lambda option: -option.speedup),
        probe_tokens_per_pass=probed,
        alarms=alarms(probed, best.tokens_per_pass, maps),
    )


def candidates(maps: Maps, weights: str) -> dict[str, tuple[Firp, Tree]]:
    """The options: trees of several sizes, offsets and chains, in one pass or two."""
    from burnish.draft import drafters

    found, looked = {}, maps.ranks is not None and maps.ranks.lookup is not None
    for passes in ("two",) if maps.knows_next else ("one", "two"):
        for offsets in range(1, maps.num_offsets + 1):
            for nodes, ngram in itertools.product(NUM_NODES, NUM_NGRAM if looked else (0,)):
                settings = Firp(
                    weights=weights, nodes=nodes, offsets=offsets, passes=passes, ngram=ngram
                )
                tree = shape_for(maps, nodes, offsets)
                if max(tree.depths) == offsets:  # else it is another option
                    found[drafters.spec(settings)] = (settings, tree)
    return found


def example(tree: Tree, ngram: int) -> Draft:
    """A draft of this shape with a chain merged in that shares no token with it."""
    draft = Draft(tokens=tuple(range(7, 7 + tree.num_nodes)), parents=tree.parents)
    return merged(draft, range(200, 200 + ngram))


def _step_name(spec: str, chained: bool) -> str:
    return f"{spec} with a chain" if chained else spec


def _ready(model: Model, maps: Maps, settings: Firp, tree: Tree) -> Ready:
    riders = maps.riders(model.dtype, model.device, num=max(tree.depths), passes=settings.passes)
    return Ready(
        proposer=RankedProposer(
            model, maps, tree, pseudo_states, riders=riders, ngram=settings.ngram
        )
    )


def _option(
    spec: str, settings: Firp, tree: Tree, maps: Maps, times: Mapping[str, float]
) -> Option:
    """Cost and yield of a way to draft; a chain costs only where one is found."""
    assert maps.ranks is not None
    tokens = maps.ranks.tokens_per_pass(tree, settings.ngram)
    share = maps.ranks.share_looked_up() if settings.ngram else 0.0
    with_chain = times[_step_name(spec, settings.ngram > 0)]
    step_s = share * with_chain + (1 - share) * times[spec]
    return Option(
        spec=spec,
        passes=settings.passes,
        nodes=settings.nodes,
        offsets=settings.offsets,
        ngram=settings.ngram,
        entries=maps.entries,
        step_s=step_s,
        tokens_per_pass=tokens,
        speedup=tokens * times["plain"] / step_s,
    )


def predicted(ranks: Ranks, settings: Firp, tree: Tree, relative_speed: float) -> Estimate:
    """Speed-up with the interval of its acceptance: texts are drawn again."""
    replayed = ranks.replay(tree, settings.ngram)
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
    """Tokens per verifying pass of a few short answers, decoded here and now."""
    sampling = Sampling(max_new_tokens=PROBE_TOKENS)
    requests = [
        Request(id=text, prompt=tuple(render_prompt(model.tokenizer, text)), sampling=sampling)
        for text in PROBE
    ]
    done = generate_drafted(model, requests, drafter=make_ready(spec, model), batch_size=1)
    passes = sum(one.num_passes - 1 for one in done)
    return sum(max(len(one.tokens) - 1, 0) for one in done) / passes if passes else 1.0


def alarms(probed: float, expected: float, maps: Maps) -> list[str]:
    """Sentences about an acceptance that cannot be right, with the likely causes."""
    if probed >= ALARM_TOKENS or expected < ALARM_TOKENS:
        return []
    return [
        f"{probed:.2f} tokens a pass were measured where {expected:.2f} were expected: next to "
        "nothing is accepted. Likely causes: another chat template than in training, maps of "
        f"another layer (these enter at {list(maps.entries)}) or model, or another number format"
    ]
