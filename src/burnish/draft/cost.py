"""The cost of a pass on this machine: the measured half of the plan."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from burnish.contracts.drafter import Anchor, Draft, Riders
from burnish.contracts.generation import Sampling
from burnish.draft.candidates import draft_of
from burnish.draft.loop import Ready
from burnish.draft.passes import Passes
from burnish.draft.tree import chain
from burnish.draft.variants import Variant
from burnish.engine.sample import next_tokens
from burnish.engine.session import DecoderSession, open_session
from burnish.models.load import Model

PLAIN = "plain"
ROOM_TOKENS = 192  # behind the context, for the largest draft with its pseudo states


def step_name(spec: str, chained: bool) -> str:
    """The name of a drafter's step."""
    return f"{spec} with a chain" if chained else spec


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """Texts of `context_tokens` in a cache, on which steps of any kind can be timed."""

    model: Model
    session: DecoderSession
    context_tokens: int
    batch_size: int

    def reset(self) -> None:
        """Restore the cache's lengths to those before any step."""
        self.session.cache.lengths[:] = [self.context_tokens] * self.batch_size

    def plain(self) -> None:
        """One plain decode step, down to the tokens."""
        self._draw(self.session.step([7] * self.batch_size))
        self.reset()

    def bare(self, num_nodes: int) -> Callable[[], None]:
        """A step over a chain of nodes for every text, without drafting: the least it can cost."""
        passes = Passes(self.model.decoder, self.session.cache, None)
        ranks = [[token] for token in range(8, 7 + num_nodes)]
        drafts = [draft_of(7, chain(num_nodes - 1), ranks)] * self.batch_size

        def step() -> None:
            passed = passes.verify(drafts)
            self._draw(passed.logits[passed.begins])

        return step

    def _draw(self, logits: Tensor) -> None:
        """Greedy tokens, as the decode loop draws them."""
        next_tokens(logits, [Sampling()] * len(logits), [0] * len(logits))

    def drafted(self, ready: Ready, draft: Draft) -> Callable[[], None]:
        """A step that verifies a draft of every text, accepts its root, and drafts again."""
        riders: Riders | None = ready.proposer.riders
        passes = Passes(self.model.decoder, self.session.cache, riders)
        texts = range(self.batch_size)

        def step() -> None:
            passed = passes.verify([draft] * self.batch_size)
            self._draw(passed.logits[passed.begins])
            for slot in texts:
                passes.commit(slot, draft, [0])
            pseudo = None if passed.pseudo is None else passed.pseudo[passed.begins]
            if passed.streams:
                roots = {layer: rows[passed.begins] for layer, rows in passed.streams.items()}
                pseudo = passes.guess(roots, [9] * self.batch_size)
            anchors = [
                Anchor(
                    tokens=range(self.context_tokens),
                    final=passed.final[passed.begins[slot]],
                    pseudo=None if pseudo is None else pseudo[slot],
                )
                for slot in texts
            ]
            ready.proposer.propose(anchors)
            self.reset()

        return step


@dataclass(frozen=True, kw_only=True)
class RowCosts:
    """T(n): seconds of a pass over n nodes of every text, without pseudo states and proposals."""

    plain_s: float
    num_nodes: tuple[int, ...]
    seconds: tuple[float, ...]

    def at(self, num_nodes: float) -> float:
        """Seconds at a count, linear between the measured ones."""
        return float(np.interp(num_nodes, self.num_nodes, self.seconds))

    def variant(self, variant: Variant, *, chained: bool, entry_frac: float) -> float:
        """Estimated seconds of a drafted step, by where in the layers its pseudo states enter."""
        nodes, above = variant.tree.num_nodes + chained * variant.ngram, 1 - entry_frac
        if variant.passes == "two":
            return self.at(nodes) + above * self.at(variant.offsets)
        return entry_frac * self.at(nodes) + above * self.at(nodes * (1 + variant.offsets))


def measure_rows(bench: Workbench, counts: Sequence[int], *, repeats: int) -> RowCosts:
    """Time passes over these numbers of nodes, and the plain step, in turns."""
    steps = {PLAIN: bench.plain} | {f"{n} nodes": bench.bare(n) for n in counts}
    times = time_steps(steps, repeats=repeats)
    plain_s, *seconds = times.values()
    return RowCosts(plain_s=plain_s, num_nodes=tuple(counts), seconds=tuple(seconds))


def open_workbench(model: Model, *, context_tokens: int = 256, batch_size: int = 1) -> Workbench:
    """A cache filled with zero tokens; its content does not affect the time."""
    room = context_tokens + ROOM_TOKENS
    session = open_session(model, num_slots=batch_size, capacity_tokens=room)
    assert isinstance(session, DecoderSession)
    bench = Workbench(
        model=model, session=session, context_tokens=context_tokens, batch_size=batch_size
    )
    bench.reset()
    return bench


def time_steps(steps: Mapping[str, Callable[[], None]], *, repeats: int = 9) -> dict[str, float]:
    """Median seconds of each step; steps take turns, so that a change in load affects all alike."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(repeats):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}
