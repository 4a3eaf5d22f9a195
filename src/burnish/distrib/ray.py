"""`ray`: items shared among the machines of a Ray cluster, or the cores of this one."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import MissingExtraError, RemoteError, SettingError
from burnish.distrib import launchers


@launchers.register("ray")
@dataclass(frozen=True, kw_only=True)
class RayLauncher:
    """Ray tasks, at most `in_flight` at a time (0: twice the cluster's cores).

    `address` is Ray's: empty starts a private instance on this machine, `auto` joins the cluster
    that this machine belongs to. An instance that is already running here is used and left alone.
    """

    address: str = ""
    in_flight: int = 0

    def __post_init__(self) -> None:
        if self.in_flight < 0:
            remedy = "0 follows the cluster's size"
            raise SettingError("in_flight", self.in_flight, "must not be negative", remedy=remedy)

    def map(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Yield `fn(item)` in the order of `items`; raises what `fn` raises.

        Raises MissingExtraError when Ray is not installed, RemoteError when the cluster at
        `address` does not answer.
        """
        ray = _ray()
        return self._map(ray, fn, items) if items else iter(())

    def _map(self, ray: Any, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        ours = not ray.is_initialized()
        if ours:
            self._start(ray)
        waiting: deque[Any] = deque()
        try:
            task = ray.remote(max_retries=0)(lambda item: fn(item))  # builtins need the wrapper
            room = self.in_flight or max(1, 2 * int(ray.cluster_resources().get("CPU", 1)))
            for item in items:
                waiting.append(task.remote(item))
                if len(waiting) >= room:
                    yield _answer(ray, waiting.popleft())
            while waiting:
                yield _answer(ray, waiting.popleft())
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()

    def _start(self, ray: Any) -> None:
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if self.address:
            settings["address"] = self.address
        else:  # workers import what this process can, as spawned processes do
            path = os.pathsep.join(filter(None, sys.path))
            settings |= {"address": "local", "include_dashboard": False}
            settings["runtime_env"] = {"env_vars": {"PYTHONPATH": path}}
        try:
            ray.init(**settings)
        except ConnectionError as error:
            remedy = "Start the cluster, or leave the address out"
            raise RemoteError(
                "Ray cluster", self.address, "does not answer", remedy=remedy
            ) from error


def _answer(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "launcher", "ray", "needs the package ray", remedy='Run `pip install "burnish[ray]"`'
        ) from error
    return ray
