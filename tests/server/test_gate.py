"""The queue before work: order, bounds, deadlines, cancellation."""

import asyncio
from typing import Any

import pytest

from burnish.server.gate import Gate, Refused


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def check_order(gate: Gate) -> None:
    order: list[int] = []

    async def work(name: int) -> None:
        async with gate.slot():
            order.append(name)
            await settle()

    async with gate.slot():
        tasks = []
        for name in (1, 2, 3):
            tasks.append(asyncio.ensure_future(work(name)))
            await settle()
        assert (gate.num_running, gate.num_waiting) == (1, 3)
        with pytest.raises(Refused) as refused:
            await work(4)
        assert refused.value.status == 429
        tasks[1].cancel()  # its client left
        await settle()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1, 3]
    assert (gate.num_running, gate.num_waiting) == (0, 0)


def new_gate(**more: Any) -> Gate:
    return Gate(**{"num_workers": 1, "max_waiting": 3, "deadline_s": 30.0, **more})


def test_waiting_requests_come_in_order() -> None:
    asyncio.run(check_order(new_gate()))


def test_planted_slot_lost_with_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "_leave", lambda self: None)
    with pytest.raises(AssertionError):
        asyncio.run(check_order(new_gate(deadline_s=0.01)))


def test_a_slot_handed_over_at_the_last_moment_is_given_back() -> None:
    async def run() -> None:
        gate = new_gate()
        held = await gate.enter()
        waiting = asyncio.ensure_future(gate.enter())
        await settle()
        held.leave()  # hands over, and in the same moment the client leaves
        waiting.cancel()
        await settle()
        assert (gate.num_running, gate.num_waiting) == (0, 0)

    asyncio.run(run())


def test_a_request_that_waits_past_the_deadline_gets_503() -> None:
    async def run() -> None:
        gate = new_gate(deadline_s=0.01)
        async with gate.slot():
            with pytest.raises(Refused) as refused:
                await gate.enter()
        assert refused.value.status == 503
        assert (gate.num_running, gate.num_waiting) == (0, 0)

    asyncio.run(run())


def test_a_slot_is_given_back_once() -> None:
    async def run() -> None:
        gate = new_gate(num_workers=2)
        slot = await gate.enter()
        slot.leave()
        slot.leave()
        assert gate.num_running == 0

    asyncio.run(run())


def test_a_draining_gate_lets_those_in_that_wait() -> None:
    async def run() -> None:
        gate = new_gate()
        held = await gate.enter()
        waiting = asyncio.ensure_future(gate.enter())
        await settle()
        gate.drain()
        with pytest.raises(Refused) as refused:
            await gate.enter()
        assert refused.value.status == 503
        held.leave()
        (await waiting).leave()
        assert (gate.num_running, gate.num_waiting) == (0, 0)

    asyncio.run(run())
