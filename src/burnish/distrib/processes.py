"""`processes`: items shared among the cores of this machine."""

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from burnish.base.errors import IncompleteError, SettingError
from burnish.distrib import launchers


@launchers.register("processes")
@dataclass(frozen=True, kw_only=True)
class ProcessLauncher:
    """Spawned worker processes; `workers=0` takes all cores.

    The function and the items travel by pickle, so the function must be importable. Workers end
    with the map: after the last item, an exception, Ctrl-C, and even if this process is killed.
    """

    workers: int = 0

    def __post_init__(self) -> None:
        if self.workers < 0:
            remedy = "0 uses all cores"
            raise SettingError("workers", self.workers, "must not be negative", remedy=remedy)

    def map(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Yield `fn(item)` in the order of `items`; raises what `fn` raises.

        Raises SettingError for a function that cannot be pickled, and IncompleteError when a
        worker dies.
        """
        _check_picklable(fn)
        return self._map(fn, items) if items else iter(())

    def _map(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        num_workers = min(self.workers or os.cpu_count() or 1, len(items))
        context = multiprocessing.get_context("spawn")
        lifeline, held = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(
            num_workers, mp_context=context, initializer=_live_while, initargs=(lifeline,)
        )
        try:  # not `pool.map`: left early it cancels, which a dying pool does not expect
            futures = deque(pool.submit(fn, item) for item in items)
            while futures:
                yield futures.popleft().result()
        except BrokenProcessPool as error:
            raise IncompleteError(
                "worker processes", num_workers, "must all run to the end of the map",
                remedy="A worker was killed, perhaps for lack of memory: use fewer workers",
            ) from error  # fmt: skip
        except BaseException:  # the map is left early: end workers that are still busy
            held.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            held.close()
            lifeline.close()


def _check_picklable(fn: Callable[[Any], Any]) -> None:
    try:
        pickle.dumps(fn)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SettingError(
            "function of a process map", getattr(fn, "__qualname__", repr(fn)),
            f"must be importable ({error})", remedy="Define it at the top level of a module",
        ) from error  # fmt: skip


def _live_while(lifeline: Connection) -> None:
    """End this worker when the other end of the pipe closes, as it does when its holder dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides

    def watch() -> None:
        lifeline.poll(None)  # nothing is ever sent: this returns at the end of the pipe
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
