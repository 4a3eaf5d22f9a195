"""What a pass costs on this machine: the measured half of the plan."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from burnish.contracts.drafter import Anchor, Draft, Riders
from burnish.draft.loop import Ready
from burnish.draft.passes import Passes
from burnish.engine.session import DecoderSession, open_session
from burnish.models.load import Model

ROOM_TOKENS = 128  # behind the context, for the largest draft with its pseudo states


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """Texts of `context_tokens` in a cache, on which steps of any kind can be timed."""

    model: Model
    session: DecoderSession
    context_tokens: int
    batch_size: int

    def reset(self) -> None:
        """The cache as it was."""
        self.session.cache.lengths[:] = [self.context_tokens] * self.batch_size

    def plain(self) -> None:
        """One plain decode step, to the tokens."""
        self.session.step([7] * self.batch_size).argmax(-1).tolist()
        self.reset()

    def drafted(self, ready: Ready, draft: Draft) -> Callable[[], None]:
        """A step that verifies a draft of every text, accepts its root, and drafts again."""
        riders: Riders | None = ready.proposer.riders
        passes = Passes(self.model.network, self.session.cache, riders)
        texts = range(self.batch_size)

        def step() -> None:
            passed = passes.verify([draft] * self.batch_size)
            passed.logits[passed.begins].argmax(-1).tolist()
            for slot in texts:
                passes.commit(slot, draft, [0])
            pseudo = None if passed.pseudo is None else passed.pseudo[passed.begins]
            if passed.streams:
                roots = {layer: rows[passed.begins] for layer, rows in passed.streams.items()}
                pseudo = passes.guess(roots, [9] * self.batch_size)
            anchors = [
                Anchor(
                    tokens=draft.tokens,
                    final=passed.final[passed.begins[slot]],
                    pseudo=None if pseudo is None else pseudo[slot],
                )
                for slot in texts
            ]
            ready.proposer.propose(anchors)
            self.reset()

        return step


def open_workbench(model: Model, *, context_tokens: int = 256, batch_size: int = 1) -> Workbench:
    """A cache with texts of zeros: what stands in it does not change the time."""
    room = context_tokens + ROOM_TOKENS
    session = open_session(model, num_slots=batch_size, capacity_tokens=room)
    assert isinstance(session, DecoderSession)
    bench = Workbench(
        model=model, session=session, context_tokens=context_tokens, batch_size=batch_size
    )
    bench.reset()
    return bench


def time_steps(steps: Mapping[str, Callable[[], None]], *, repeats: int = 9) -> dict[str, float]:
    """Median seconds of each step; all take turns, so that a change of load meets them all."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(repeats):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}
