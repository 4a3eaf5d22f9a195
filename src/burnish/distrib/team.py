"""The processes of torchrun as a team."""

from datetime import timedelta
from typing import Any

from burnish.base.team import Alone, Team
from burnish.distrib.rank import is_main, world_size

PATIENCE = timedelta(days=7)  # the others wait while the leader samples; torchrun ends them all


def join_team(device: str = "auto") -> Team:
    """The processes that torchrun started together; one without others, if it did not.

    On GPUs each takes the one of its number on its machine. Raises what `rank` raises.
    Source: ours. Oracle: tests/distrib/test_team.py::test_two_processes_share
    """
    return Alone() if world_size() == 1 else _Processes(device)


class _Processes:
    """What accelerate sets up from torchrun's environment."""

    def __init__(self, device: str) -> None:
        import torch
        from accelerate import PartialState

        self.leads = is_main()
        cpu = device == "cpu" or not torch.cuda.is_available()
        self._state = PartialState(cpu=cpu, timeout=PATIENCE)

    def share(self, value: Any) -> Any:
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def wait(self) -> None:
        self._state.wait_for_everyone()
