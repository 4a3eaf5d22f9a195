"""The bounded queue before work: slots, waiting places, a deadline."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Refused(Exception):
    """A request that is not begun; `status` is the HTTP status that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Gate:
    """Requests in work and in waiting, first come, first served; for one event loop.

    Source: ours. Oracle: tests/server/test_gate.py::test_waiting_requests_come_in_order
    """

    def __init__(self, *, num_workers: int, max_waiting: int, deadline_s: float) -> None:
        self._num_workers, self._max_waiting = num_workers, max_waiting
        self._deadline_s, self._queue = deadline_s, deque[asyncio.Future[None]]()
        self.num_running, self.busy_s, self.is_draining = 0, 0.0, False

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    async def enter(self) -> "Slot":
        """Wait for a slot. Raises Refused with 429 (all places taken) or 503 (late, stopping)."""
        clock = asyncio.get_running_loop().time
        ends = clock() + self._deadline_s
        await self._enter()
        return Slot(self, clock(), ends)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator["Slot"]:
        """Hold a slot for the block. Raises what `enter` does."""
        slot = await self.enter()
        try:
            yield slot
        finally:
            slot.leave()

    async def _enter(self) -> None:
        if self.is_draining:
            raise Refused(503, "the server is stopping")
        if self.num_running < self._num_workers and not self._queue:
            self.num_running += 1
            return
        if self.num_waiting >= self._max_waiting:
            raise Refused(429, f"{self.num_waiting} requests are waiting already")
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._deadline_s):
                await asyncio.shield(turn)
        except TimeoutError:
            if not self._give_up(turn):
                raise Refused(503, "no slot was free before the deadline") from None
        except asyncio.CancelledError:
            if self._give_up(turn):
                self._leave()
            raise

    def give_back(self, seconds: float) -> None:
        """A slot is free that was taken for so long."""
        self.busy_s += seconds
        self._leave()

    def _give_up(self, turn: asyncio.Future[None]) -> bool:
        """Stop waiting; whether the slot was handed over at the last moment."""
        if turn.done():
            return True
        self._queue.remove(turn)
        return False

    def _leave(self) -> None:
        """Hand the slot to the next that waits, or free it."""
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self.num_running -= 1

    def drain(self) -> None:
        """Refuse all that is new; what waits still gets its turn."""
        self.is_draining = True


class Slot:
    """A place in work; `leave` gives it back, once."""

    def __init__(self, gate: Gate, started: float, ends: float) -> None:
        self._gate, self._started, self._is_held = gate, started, True
        self.left_s = max(ends - started, 0.001)  # of the deadline

    def leave(self) -> None:
        """Give the slot back; later calls do nothing."""
        if self._is_held:
            self._is_held = False
            self._gate.give_back(asyncio.get_running_loop().time() - self._started)
