"""Generate text: the requests, checked, and the decode loop over them."""

from collections.abc import Sequence

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Request
from burnish.engine.loop import Loop, OnDone
from burnish.engine.session import open_session
from burnish.models.load import Model


def generate(
    model: Model,
    requests: Sequence[Request],
    *,
    batch_size: int = 16,
    meter: Meter | None = None,
    on_done: OnDone | None = None,
) -> list[Completion]:
    """Continue every request; completions come back in the order of the requests.

    `on_done` sees each completion as soon as it ends, so that finished work can be stored.
    Raises SettingError for an empty prompt or one that leaves no room in the model's window.
    Source: ours. Oracle: tests/engine/test_generate.py::test_greedy_equals_naive_loop
    """
    longest = check_requests(model, requests, batch_size)
    if not requests:
        return []
    num_slots = min(batch_size, len(requests))
    session = open_session(model, num_slots=num_slots, capacity_tokens=longest)
    return Loop(model, session, num_slots, requests, meter=meter, on_done=on_done).run()


def check_requests(model: Model, requests: Sequence[Request], batch_size: int) -> int:
    """Length of the longest text that requests may become [tokens]; 0 without requests.

    Raises SettingError for an empty prompt, one that leaves no room in the model's window, or a
    batch size below 1.
    """
    if batch_size < 1:
        raise SettingError("batch_size", batch_size, "must be at least 1", remedy="16 is usual")
    for request in requests:
        _check_room(request, model.max_position)
    return max((len(r.prompt) + r.sampling.max_new_tokens for r in requests), default=0)


def _check_room(request: Request, max_position: int) -> None:
    length = len(request.prompt)
    if length == 0:
        raise SettingError("prompt", request.id, "must not be empty", remedy="Give it a token")
    if length + request.sampling.max_new_tokens > max_position:
        raise SettingError(
            f"prompt of {request.id} with {request.sampling.max_new_tokens} new tokens",
            length,
            f"must fit the model's window of {max_position} tokens",
            remedy="Shorten the prompt or lower max_new_tokens",
        )
