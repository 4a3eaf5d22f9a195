"""Closed forms of sums, products and integrals by sympy, in processes that can be killed.

One warm process holds sympy and forks a child for each question, so a child that hangs is killed
at its deadline and no other question waits for it. Usable from any thread; no signals.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from burnish.data.math.descent import Tree

DEADLINE_S = 0.8
START_S = 30.0


class Unresolved(Exception):
    """The worker was stopped or found nothing; the answer stays unscored."""


def closed_form(tree: Tree, *, deadline_s: float = DEADLINE_S) -> Tree:
    """The tree without sums, products and integrals.

    Raises: Unresolved, after `deadline_s` [s] or where sympy has no closed form.
    Source: ours; sympy does the mathematics.
    Oracle: tests/data/test_symbolic.py::test_a_hung_question_is_killed_and_its_neighbours_answer
    """
    answer = _client().ask(to_json(tree), deadline_s)
    if answer is None:
        raise Unresolved("the symbolic worker was stopped at its deadline")
    if "error" in answer:
        raise Unresolved(f"the symbolic worker found no closed form ({answer['error']})")
    return from_json(answer["tree"])


def to_json(tree: Any) -> Any:
    """A tree as JSON values."""
    if isinstance(tree, Fraction):
        return {"q": [str(tree.numerator), str(tree.denominator)]}
    return [to_json(part) for part in tree] if isinstance(tree, tuple) else tree


def from_json(value: Any) -> Any:
    """The inverse of `to_json`."""
    if isinstance(value, dict):
        return Fraction(int(value["q"][0]), int(value["q"][1]))
    return tuple(from_json(part) for part in value) if isinstance(value, list) else value


class Client:
    """The warm process, and who waits for which answer."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._next = 0
        self._ready = threading.Event()
        command: Sequence[str] = [sys.executable, "-m", "burnish.data.math.worker"]
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it runs, and for this process."""
        return self.pid == os.getpid() and self._process.poll() is None

    def ask(self, tree: Any, deadline_s: float) -> dict[str, Any] | None:
        """The worker's answer; None at the deadline. The first question waits for the start."""
        self._ready.wait(START_S)
        event, box = threading.Event(), list[Any]()
        with self._lock:
            self._next += 1
            number = self._next
            self._waiting[number] = (event, box)
            row = {"id": number, "tree": tree, "until": time.time() + deadline_s}
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(json.dumps(row) + "\n")
                self._process.stdin.flush()
            except (OSError, ValueError):  # it died just now
                del self._waiting[number]
                return None
        event.wait(deadline_s + 0.1)
        with self._lock:
            self._waiting.pop(number, None)
        return box[0] if box else None

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            row = json.loads(line)
            if row.get("ready"):
                self._ready.set()
                continue
            with self._lock:
                waiting = self._waiting.get(row["id"])
            if waiting:
                waiting[1].append(row)
                waiting[0].set()
        self._ready.set()
        self._process.wait()
        with self._lock:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


_CLIENT: list[Client] = []
_STARTING = threading.Lock()


def _client() -> Client:
    with _STARTING:
        if not (_CLIENT and _CLIENT[0].alive):
            _CLIENT[:] = [Client()]
        return _CLIENT[0]
