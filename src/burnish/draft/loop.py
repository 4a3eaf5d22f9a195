"""Drafted decoding: the engine's loop, with a draft verified in each pass. The text is the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.base.errors import ModelError
from burnish.base.meter import Meter
from burnish.contracts.drafter import Anchor, Draft, Drafter, Proposer
from burnish.contracts.generation import Completion, Finish, Request
from burnish.draft import drafters
from burnish.draft.passes import Passed, Passes
from burnish.engine.generate import check_requests
from burnish.engine.loop import Loop, OnDone
from burnish.engine.row import Row
from burnish.engine.session import DecoderSession, open_session
from burnish.models.decoder import Decoder
from burnish.models.load import Model


def generate_drafted(
    model: Model,
    requests: Sequence[Request],
    *,
    drafter: Drafter | str = "firp",
    batch_size: int = 16,
    meter: Meter | None = None,
    on_done: OnDone | None = None,
) -> list[Completion]:
    """Continue every request, several tokens per pass; exactly the texts of `engine.generate`.

    Greedy and sampled texts alike: at every node the model's own token is drawn with the noise of
    its position, and the draft is followed for as long as it agrees. `num_passes` of a completion
    counts its verifying passes and the prefill.
    Raises ModelError where the network is not our decoder, or the drafter has nothing for it.
    Source: FIRP, arXiv 2410.20488 (reconstruction); verification by sample match is ours.
    Oracle: tests/draft/test_loop.py::test_drafted_equals_plain
    """
    if not isinstance(model.network, Decoder):
        rule, remedy = "cannot be decoded with drafts", "Generate without --draft"
        raise ModelError("model", model.spec, rule, remedy=remedy)
    longest = check_requests(model, requests, batch_size)
    method = drafters.parse(drafter) if isinstance(drafter, str) else drafter
    if not requests:
        return []
    opened = {"num_slots": min(batch_size, len(requests)), "capacity_tokens": longest}
    loop = open_drafted(model, method.begin(model), meter=meter, on_done=on_done, **opened)
    return loop.run(requests)


def open_drafted(
    model: Model,
    proposer: Proposer,
    *,
    num_slots: int,
    capacity_tokens: int,
    meter: Meter | None = None,
    on_done: OnDone | None = None,
) -> "DraftedLoop":
    """A loop without requests, as `engine.generate.open_loop`, that decodes with drafts."""
    num_offsets = proposer.riders.num_offsets if proposer.riders else 0
    room = proposer.num_nodes * (1 + num_offsets) + num_offsets
    session = open_session(model, num_slots=num_slots, capacity_tokens=capacity_tokens + room)
    assert isinstance(session, DecoderSession)
    loop = DraftedLoop(model, session, num_slots, meter=meter, on_done=on_done)
    loop.proposer = proposer
    loop.passes = Passes(model.decoder, session.cache, proposer.riders)
    loop.drafts = {}
    return loop


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A drafter that has begun: for many calls on one model without loading its maps again."""

    proposer: Proposer

    def begin(self, model: Model) -> Proposer:
        """The proposer that has begun already."""
        return self.proposer


def make_ready(drafter: Drafter | str, model: Model) -> Ready:
    """Begin now; pass the result to `generate_drafted` as its drafter."""
    method = drafters.parse(drafter) if isinstance(drafter, str) else drafter
    return Ready(proposer=method.begin(model))


class DraftedLoop(Loop):
    """The engine's loop with another step: verify a draft of every text, then propose again."""

    proposer: Proposer
    passes: Passes
    drafts: dict[int, Draft]  # by the index of a row

    def cancel(self, row: Row) -> None:
        """Forget a row and its draft."""
        super().cancel(row)
        self.drafts.pop(row.index, None)

    def step(self) -> None:
        """One verifying pass: one token for every row, and one more for each right draft."""
        missing = [row for row in self.rows if row.index not in self.drafts]
        if missing:
            anchors = [Anchor(tokens=row.whole) for row in missing]
            self._keep(missing, self.proposer.propose(anchors))
        drafts = [self.drafts.pop(row.index) for row in self.rows]
        passed = self.passes.verify(drafts)
        self.meter.add("passes", 1)
        paths, ended = self._follow(drafts, passed)
        for slot, (draft, path) in enumerate(zip(drafts, paths, strict=True)):
            self.passes.commit(slot, draft, path)
            self.rows[slot].num_passes += 1
        last = [begin + path[-1] for begin, path in zip(passed.begins, paths, strict=True)]
        self._propose(passed, last, ended)
        for slot in reversed(range(len(ended))):
            if finish := ended[slot]:
                self.retire(slot, finish)

    def _follow(
        self, drafts: Sequence[Draft], passed: Passed
    ) -> tuple[list[list[int]], list[Finish | None]]:
        """Walk down each draft as far as the model's own tokens agree; nodes, and how texts end.

        Source: ours (sample match): the token of a node is drawn as plain decoding draws it.
        Oracle: tests/draft/test_loop.py::test_sampled_strings_have_their_probabilities
        """
        paths: list[list[int]] = [[0] for _ in drafts]
        ended: list[Finish | None] = [None] * len(drafts)
        going = list(range(len(drafts)))
        while going:
            rows = [self.rows[slot] for slot in going]
            logits = passed.logits[[passed.begins[slot] + paths[slot][-1] for slot in going]]
            finishes, still = self.draw(rows, logits), []
            for slot, row, finish in zip(going, rows, finishes, strict=True):
                ended[slot] = finish
                if finish is not None:
                    continue
                child = drafts[slot].children[paths[slot][-1]].get(row.tokens[-1])
                if child is not None:
                    row.guessed.append(len(row.tokens) - 1)
                    paths[slot].append(child)
                    still.append(slot)
            going = still
        return paths, ended

    def _propose(self, passed: Passed, last: Sequence[int], ended: Sequence[Finish | None]) -> None:
        """Drafts for the texts that go on, from what the pass left at their last nodes."""
        going = [slot for slot, finish in enumerate(ended) if finish is None]
        if not going:
            return
        pseudo = None if passed.pseudo is None else passed.pseudo[list(last)]
        if passed.streams:  # the second pass wants every slot up to the last that goes on
            num = going[-1] + 1
            streams = {layer: rows[list(last[:num])] for layer, rows in passed.streams.items()}
            after = [(row.tokens or row.request.prompt)[-1] for row in self.rows[:num]]
            pseudo = self.passes.guess(streams, after)
        anchors = [
            Anchor(
                tokens=self.rows[slot].whole,
                final=passed.final[last[slot]],
                pseudo=None if pseudo is None else pseudo[slot],
            )
            for slot in going
        ]
        self._keep([self.rows[slot] for slot in going], self.proposer.propose(anchors))

    def _keep(self, rows: Sequence[Row], drafts: Sequence[Draft]) -> None:
        for row, draft in zip(rows, drafts, strict=True):
            self.drafts[row.index] = draft
