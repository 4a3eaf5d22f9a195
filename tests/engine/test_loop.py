"""The loop of a server: requests come and go while it runs, and no text is another for it."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.tiny import texts

from burnish.contracts.drafter import Draft
from burnish.contracts.generation import Completion, Request, Sampling, TokenLogprobs
from burnish.draft.loop import open_drafted
from burnish.engine.generate import generate, open_loop
from burnish.engine.loop import CHUNK_ROWS, Loop
from burnish.engine.policies import bounded_policy
from burnish.engine.prefixes import Beginning
from burnish.engine.session import LEAST_ROWS, DecoderSession
from burnish.models.load import Model

MIXED = (
    Sampling(max_new_tokens=11, temperature=1.0, seed=1),
    Sampling(max_new_tokens=5),
    Sampling(max_new_tokens=8, temperature=0.8, top_p=0.9, seed=2, frequency_penalty=0.5),
    Sampling(max_new_tokens=14, temperature=1.2, repetition_penalty=1.3, seed=3),
)
LENGTHS = [7, CHUNK_ROWS + 5, 40, 3, 17, 16, 40, 1]  # one is read in pieces
Open = Callable[..., Loop]


def requests_for(lengths: list[int] = LENGTHS) -> list[Request]:
    prompts = [tuple(tokens) for tokens in texts(lengths)]
    prompts[6] = prompts[2]  # two requests share a prompt
    return [
        Request(id=f"r{i}", prompt=prompt, sampling=MIXED[i % len(MIXED)], num_logprobs=2)
        for i, prompt in enumerate(prompts)
    ]


class Served:
    """A loop, and what came out of it."""

    def __init__(self, open_one: Open, num_slots: int) -> None:
        self.done: dict[str, Completion] = {}
        self.logprobs: dict[str, list[TokenLogprobs]] = {}
        opened = {"num_slots": num_slots, "capacity_tokens": 1400}
        self.loop = open_one(on_done=self.keep, **opened)
        self.rows: dict[str, Any] = {}

    def add(self, request: Request) -> None:
        self.rows[request.id] = self.loop.add(request)

    def keep(self, completion: Completion) -> None:
        assert completion.id not in self.done
        self.done[completion.id] = completion
        self.logprobs[completion.id] = self.rows[completion.id].logprobs

    def finish(self) -> None:
        while not self.loop.is_idle:
            self.loop.round()


def alike() -> list[Request]:
    """Requests that begin alike: two beginnings, turns of a conversation, pieces too small."""
    heads, tails = texts([40, CHUNK_ROWS + 60, 20]), texts([17, 3, 30, 16, 90, 33], seed=9)
    prompts = [heads[0] + tail for tail in tails[:4]] + [heads[1] + tail for tail in tails[2:5]]
    prompts += [heads[2] + heads[0], heads[2] + heads[0] + tails[4], heads[0]]
    return [
        Request(id=f"r{i}", prompt=tuple(p), sampling=MIXED[i % len(MIXED)], num_logprobs=2)
        for i, p in enumerate(prompts)
    ]


def check_served(
    open_one: Open,
    wanted: dict[str, Completion],
    *,
    seed: int = 0,
    requests: Callable[[], list[Request]] = lambda: requests_for(),
) -> None:
    """Requests at random times, some cancelled at random times: the others end as alone."""
    alone: dict[str, list[TokenLogprobs]] = {}
    for request in requests()[1:4]:
        one = Served(open_one, 1)
        one.add(request)
        one.finish()
        assert one.done == {request.id: wanted[request.id]}
        alone |= one.logprobs
    source = random.Random(seed)
    served, waiting = Served(open_one, 4), requests()
    source.shuffle(waiting)
    extra = [
        Request(id=f"x{i}", prompt=r.prompt, sampling=r.sampling)
        for i, r in enumerate(requests()[1:6])
    ]
    while waiting or extra:
        served.add((waiting if not extra or (waiting and source.random() < 0.5) else extra).pop())
        for _ in range(source.randrange(4)):
            served.loop.round()
        going = [name for name in served.rows if name.startswith("x") and name not in served.done]
        if going and source.random() < 0.6:
            served.loop.cancel(served.rows.pop(source.choice(going)))
    served.finish()
    assert {name: c for name, c in served.done.items() if name[0] == "r"} == wanted
    for name, logprobs in alone.items():
        assert served.logprobs[name] == logprobs  # bit for bit
    assert not served.loop._shared and not served.loop._waiting


def wanted_of(model: Model, **settings: Any) -> dict[str, Completion]:
    return {c.id: c for c in generate(model, requests_for(), batch_size=3, **settings)}


def opener(model: Model, **settings: Any) -> Open:
    return lambda **more: open_loop(model, **settings, **more)


@pytest.mark.parametrize(("family", "precision"), [("llama", "fp32"), ("llama-wide", "bf16")])
def test_served_texts_are_those_of_generate(family: str, precision: str, tiny_model: Any) -> None:
    model = tiny_model(family, precision)
    check_served(opener(model), wanted_of(model))


@pytest.mark.parametrize(("family", "precision"), [("llama", "fp32"), ("llama-wide", "bf16")])
def test_served_texts_that_begin_alike(family: str, precision: str, tiny_model: Any) -> None:
    model = tiny_model(family, precision)
    wanted = {c.id: c for c in (generate(model, [r])[0] for r in alike())}
    for seed in range(3):
        check_served(opener(model), wanted, seed=seed, requests=alike)


def test_planted_beginning_of_another_prompt(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    wanted = {c.id: c for c in (generate(model, [r])[0] for r in alike())}
    monkeypatch.setattr(
        Beginning, "fits", lambda self, prompt: len(self.tokens) <= len(prompt) - LEAST_ROWS
    )
    with pytest.raises(AssertionError):
        check_served(opener(model), wanted, requests=alike)


def prefilled(model: Model, prompts: list[list[int]]) -> list[int]:
    """Tokens read for each of several requests, one after another."""
    served, found = Served(opener(model), 2), list[int]()
    for index, prompt in enumerate(prompts):
        before = served.loop.meter.totals().get("prefilled", 0)
        one = Request(id=f"r{index}", prompt=tuple(prompt), sampling=Sampling(max_new_tokens=2))
        served.add(one)
        served.finish()
        assert served.done[one.id] == generate(model, [one])[0]
        found.append(served.loop.meter.totals()["prefilled"] - before)
    return found


def test_prompts_that_begin_alike_are_read_once(tiny_model: Any) -> None:
    head, a, b, c, long = texts([30, 20, 21, 33, CHUNK_ROWS + 40])
    model = tiny_model("llama")
    assert prefilled(model, [head + a, head + b, head + c, a, head + c[:16]]) == [
        50,
        51,
        33,
        20,
        16,
    ]
    turns = [head, head + a, head + a + b, head + a + b + c]
    assert prefilled(model, turns) == [30, 50, 41, 54]  # the last turn and the new one
    assert prefilled(model, [long + a, long + b, long + c]) == [len(long) + 20, len(long) + 21, 33]
    assert prefilled(model, [head + a, head[:15] + b, head + c[:15]]) == [50, 36, 45]  # too small


def test_served_under_a_policy(tiny_model: Any) -> None:
    model = tiny_model("llama")
    policy = bounded_policy(model, "window:budget_tokens=32")
    check_served(opener(model, kv=policy), wanted_of(model, kv=policy), seed=1)


class Knowing:
    """A drafter that knows the texts: it guesses two tokens, and errs in every third second one."""

    riders, num_nodes = None, 3

    def __init__(self, texts: list[tuple[int, ...]]) -> None:
        self._texts = texts

    def propose(self, anchors: Any) -> list[Draft]:
        found = []
        for anchor in anchors:
            so_far = tuple(anchor.tokens)
            begun = [t for t in self._texts if t[: len(so_far)] == so_far]
            rest = (begun[0] if begun else so_far)[len(so_far) :][:2]
            if len(so_far) % 3 == 0 and len(rest) == 2:
                rest = (rest[0], (rest[1] + 1) % 269)
            tokens = (so_far[-1], *rest)
            found.append(Draft(tokens=tokens, parents=tuple(range(-1, len(rest)))))
        return found


def test_served_with_drafts(tiny_model: Any) -> None:
    """Texts are those of plain decoding; tokens that the draft had right are known."""
    model, wanted = tiny_model("llama"), wanted_of(tiny_model("llama"))
    known = [(*r.prompt, *wanted[r.id].tokens) for r in requests_for()]
    served = Served(lambda **more: open_drafted(model, Knowing(known), **more), 3)
    for request in requests_for():
        served.add(request)
        served.loop.round()
    served.finish()
    for name, completion in served.done.items():
        row = served.rows[name]
        assert (completion.tokens, completion.text) == (wanted[name].tokens, wanted[name].text)
        if completion.finish == "length":
            assert len(row.tokens) == completion.num_passes + len(row.guessed)
        assert all(0 < place < len(row.tokens) for place in row.guessed)
    assert sum(len(row.guessed) for row in served.rows.values()) > 10
    assert not served.loop.drafts


def test_planted_piece_in_a_slot_in_use(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a read prompt is not moved to its row, the texts are others."""
    model = tiny_model("llama")
    wanted = wanted_of(model)
    monkeypatch.setattr(DecoderSession, "move", lambda self, source, target: None)
    with pytest.raises(AssertionError):
        check_served(opener(model), wanted)


def test_planted_cancelled_row_that_keeps_its_slot(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    monkeypatch.setattr(Loop, "cancel", lambda self, row: self.rows.remove(row) if row in self.rows
                        else None)  # fmt: skip
    with pytest.raises(AssertionError):
        check_served(opener(model), wanted_of(model))


def test_a_long_prompt_does_not_hold_up_the_others(tiny_model: Any) -> None:
    """Rows get a token in every round while a long prompt is read, and short ones begin."""
    model = tiny_model("llama")
    long, short, late = requests_for([2 * CHUNK_ROWS + 90, 7, 9, 1, 1, 1, 1, 1])[:3]
    served = Served(opener(model), 4)
    served.add(short)
    served.loop.round()
    served.add(long)
    row, meter = served.rows[short.id], served.loop.meter
    for num in (2, 3):
        read = meter.totals()["prefilled"]
        before = len(row.tokens)
        served.loop.round()
        assert 0 < meter.totals()["prefilled"] - read <= CHUNK_ROWS
        assert len(row.tokens) == before + 1 or short.id in served.done
        if num == 2:
            served.add(late)
    assert served.rows[late.id].tokens and not served.rows[long.id].tokens
    served.finish()
    assert served.done[long.id] == generate(model, [long])[0]


def test_a_prompt_that_is_being_read_can_be_cancelled(tiny_model: Any) -> None:
    model = tiny_model("llama")
    served = Served(opener(model), 2)
    requests = requests_for()
    for index in (1, 2):
        served.add(requests[index])
    served.loop.round()
    assert not served.loop.rows and served.loop.num_queued == 1
    served.loop.cancel(served.rows["r1"])
    served.finish()
    assert served.done == {"r2": generate(model, [requests[2]])[0]}
