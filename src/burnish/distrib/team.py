"""The processes of torchrun as a team."""

import atexit
import os
from datetime import timedelta
from typing import Any

from burnish.base.errors import IncompleteError
from burnish.base.team import Alone, Team
from burnish.distrib.rank import is_main, world_size

LOST = ("Connection closed by peer", "Connection reset by peer", "remote process exited")
PATIENCE = timedelta(days=7)  # the other ranks wait while rank 0 samples; torchrun ends them all


def join_team(device: str = "auto") -> Team:
    """The processes that torchrun started together; one without others, if it did not.

    On GPUs each takes the one of its number on its machine. Raises what `rank` raises.
    Source: ours. Oracle: tests/distrib/test_team.py::test_two_processes_share
    """
    if world_size() == 1:
        return Alone()
    join_group(device)
    return _Processes()


def join_group(device: str = "auto") -> None:
    """Join the process group of torchrun's environment, once: NCCL on GPUs, gloo otherwise.

    A group of gloo is left when the process ends; one that the caller made stays the caller's.
    Source: ours. Oracle: tests/distrib/test_team.py::test_the_group_is_left_at_the_end
    """
    import torch
    from torch import distributed

    if world_size() == 1 or distributed.is_initialized():
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    if not on_gpu:  # leaving NCCL's waits for all processes, also for one that has failed
        atexit.register(_leave_group)


def _leave_group() -> None:
    """Join gloo's threads while the interpreter lives: left alone, they abort one exit in ten."""
    from torch import distributed

    if distributed.is_initialized():  # the caller may have left it
        distributed.destroy_process_group()


def shared(value: Any) -> Any:
    """Rank 0's value, in every process of the group. Every process must call it."""
    from torch import distributed

    if world_size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def lost_process(error: RuntimeError) -> IncompleteError | None:
    """The error for users where gloo or NCCL says that another process ended; None elsewhere.

    Source: ours. Oracle: tests/recipes/test_together.py::test_one_process_fails
    """
    found = [words for words in LOST if words in str(error)]
    if world_size() == 1 or not found:
        return None
    remedy = "Read the error of the process that ended first"
    return IncompleteError("other processes", found[0], "must run to the end", remedy=remedy)


class _Processes:
    """The process group as a team."""

    def __init__(self) -> None:
        self.leads = is_main()

    def share(self, value: Any) -> Any:
        return shared(value)

    def wait(self) -> None:
        from torch import distributed

        distributed.barrier()
