"""Drafted decoding: the engine's loop, with a draft verified in each pass. The text is the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import ModelError, SettingError
from burnish.base.meter import Meter
from burnish.contracts.drafter import Anchor, Draft, Drafter, Proposer
from burnish.contracts.generation import Completion, Request
from burnish.draft import drafters
from burnish.draft.passes import Passed, Passes
from burnish.engine.generate import OnDone, _check_room, _Loop, _Row
from burnish.engine.sample import next_tokens
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
    """Continue every request, several tokens a pass; exactly the texts of `engine.generate`.

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
    if batch_size < 1:
        raise SettingError("batch_size", batch_size, "must be at least 1", remedy="16 is usual")
    method = drafters.parse(drafter) if isinstance(drafter, str) else drafter
    for request in requests:
        _check_room(request, model.max_position)
    if not requests:
        return []
    proposer = method.begin(model)
    longest = max(len(r.prompt) + r.sampling.max_new_tokens for r in requests)
    num_slots = min(batch_size, len(requests))
    num_offsets = proposer.riders.num_offsets if proposer.riders else 0
    room = proposer.num_nodes * (1 + num_offsets) + num_offsets
    session = open_session(model, num_slots=num_slots, capacity_tokens=longest + room)
    assert isinstance(session, DecoderSession)
    loop = _DraftedLoop(model, session, num_slots, requests, meter or Meter(), on_done)
    loop.proposer = proposer
    loop.passes = Passes(model.network, session.cache, proposer.riders)
    done = loop.run()
    return [done[index] for index in range(len(requests))]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A drafter that has begun: for many calls on one model without loading its maps again."""

    proposer: Proposer

    def begin(self, model: Model) -> Proposer:
        """The proposer that is there."""
        return self.proposer


def make_ready(drafter: Drafter | str, model: Model) -> Ready:
    """Begin now; give what comes back to `generate_drafted` as its drafter."""
    method = drafters.parse(drafter) if isinstance(drafter, str) else drafter
    return Ready(proposer=method.begin(model))


class _DraftedLoop(_Loop):
    """The engine's loop with another step: verify a draft of every text, then propose again."""

    proposer: Proposer
    passes: Passes

    def run(self) -> dict[int, Completion]:
        """Until every request has ended."""
        self._drafts: dict[int, Draft] = {}
        while self._queue or self._rows:
            if self._queue and len(self._rows) <= self._num_slots * 3 // 4:
                self._admit()
            if self._rows:
                self._draft_step()
        return self._done

    def _draft_step(self) -> None:
        missing = [row for row in self._rows if row.index not in self._drafts]
        if missing:
            anchors = [Anchor(tokens=_tokens(row)) for row in missing]
            self._keep(missing, self.proposer.propose(anchors))
        drafts = [self._drafts.pop(row.index) for row in self._rows]
        passed = self.passes.verify(drafts)
        self._meter.add("passes", 1)
        paths, ended = self._follow(drafts, passed)
        for slot, (draft, path) in enumerate(zip(drafts, paths, strict=True)):
            self.passes.commit(slot, draft, path)
            self._rows[slot].num_passes += 1
        last = [begin + path[-1] for begin, path in zip(passed.begins, paths, strict=True)]
        self._propose(passed, last, ended)
        for slot in reversed(range(len(ended))):
            if ended[slot]:
                self._retire(slot, ended[slot])

    def _follow(self, drafts: Sequence[Draft], passed: Passed) -> tuple[list[list[int]], list[Any]]:
        """Walk down each draft as far as the model's own tokens agree; nodes, and how texts end.

        Source: ours (sample match): the token of a node is drawn as plain decoding draws it.
        Oracle: tests/draft/test_loop.py::test_sampled_strings_have_their_probabilities
        """
        paths: list[list[int]] = [[0] for _ in drafts]
        ended: list[Any] = [None] * len(drafts)
        going = list(range(len(drafts)))
        while going:
            rows = [self._rows[slot] for slot in going]
            logits = passed.logits[[passed.begins[slot] + paths[slot][-1] for slot in going]]
            settings = [row.request.sampling for row in rows]
            positions = [len(row.tokens) for row in rows]
            tokens = next_tokens(logits, settings, positions, self._seen(rows, logits))
            self._meter.add("generated", len(rows))
            still = []
            for slot, row, token in zip(going, rows, tokens, strict=True):
                ended[slot] = row.add(token, self._model.eos_ids)
                child = drafts[slot].children[paths[slot][-1]].get(token)
                if ended[slot] is None and child is not None:
                    paths[slot].append(child)
                    still.append(slot)
            going = still
        return paths, ended

    def _propose(self, passed: Passed, last: Sequence[int], ended: Sequence[Any]) -> None:
        """Drafts for the texts that go on, from what the pass left at their last nodes."""
        going = [slot for slot, finish in enumerate(ended) if finish is None]
        if not going:
            return
        pseudo = None if passed.pseudo is None else passed.pseudo[list(last)]
        if passed.streams:  # the second pass wants every slot up to the last that goes on
            num = going[-1] + 1
            streams = {layer: rows[list(last[:num])] for layer, rows in passed.streams.items()}
            after = [(row.tokens or row.request.prompt)[-1] for row in self._rows[:num]]
            pseudo = self.passes.guess(streams, after)
        anchors = [
            Anchor(
                tokens=_tokens(self._rows[slot]),
                final=passed.final[last[slot]],
                pseudo=None if pseudo is None else pseudo[slot],
            )
            for slot in going
        ]
        self._keep([self._rows[slot] for slot in going], self.proposer.propose(anchors))

    def _keep(self, rows: Sequence[_Row], drafts: Sequence[Draft]) -> None:
        for row, draft in zip(rows, drafts, strict=True):
            self._drafts[row.index] = draft


def _tokens(row: _Row) -> list[int]:
    return [*row.request.prompt, *row.tokens]
