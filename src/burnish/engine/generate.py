"""Generate text: checks requests and runs the decode loop over them."""

from collections.abc import Sequence

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Request
from burnish.contracts.kv_policy import KVPolicy, MemoryPolicy
from burnish.contracts.session import Session
from burnish.engine.loop import Loop, OnDone
from burnish.engine.policies import PolicySession, bounded_policy
from burnish.engine.session import open_session
from burnish.models.load import Model


def generate(
    model: Model,
    requests: Sequence[Request],
    *,
    batch_size: int = 16,
    meter: Meter | None = None,
    on_done: OnDone | None = None,
    kv: KVPolicy | str | None = None,
) -> list[Completion]:
    """Continue every request; completions come back in the order of the requests.

    `on_done` sees each completion as soon as it ends, so that finished work can be stored. `kv`
    is the KV policy or its spec, such as `window:budget_tokens=512`; the default keeps all
    tokens. A policy whose budget fits the model's window
    reads and writes texts of any length.
    Raises SettingError for an empty prompt or one that leaves no room in the model's window,
    ModelError for a policy on a model that is not our decoder.
    Source: ours. Oracle: tests/engine/test_generate.py::test_greedy_equals_naive_loop
    """
    policy = bounded_policy(model, kv)
    longest = check_requests(model, requests, batch_size, budget_tokens=budget_of(policy))
    if not requests:
        return []
    num_slots = min(batch_size, len(requests))
    opened = {"num_slots": num_slots, "capacity_tokens": longest, "meter": meter}
    return open_loop(model, kv=policy, on_done=on_done, **opened).run(requests)


def open_loop(
    model: Model,
    *,
    num_slots: int,
    capacity_tokens: int,
    kv: KVPolicy | None = None,
    meter: Meter | None = None,
    on_done: OnDone | None = None,
) -> Loop:
    """A loop of `num_slots` slots without requests; a text has up to `capacity_tokens` tokens.

    Under a policy with a budget, a text may be longer.
    """
    if kv is not None:
        session: Session = PolicySession(model, kv, num_slots)
    else:
        session = open_session(model, num_slots=num_slots, capacity_tokens=capacity_tokens)
    return Loop(model, session, num_slots, meter=meter, on_done=on_done)


def budget_of(policy: KVPolicy | None) -> int | None:
    """Largest position under a policy [tokens]; None: that of the text."""
    if isinstance(policy, MemoryPolicy):
        return policy.most_distance_tokens
    packed = policy is not None and policy.view is not None and policy.view.positions == "packed"
    return policy.budget_tokens if policy is not None and packed else None


def check_requests(
    model: Model,
    requests: Sequence[Request],
    batch_size: int,
    *,
    budget_tokens: int | None = None,
) -> int:
    """Largest possible length of the requests' texts [tokens]; 0 without requests.

    `budget_tokens`: positions never exceed it, so it must fit the window instead of the text.
    Raises SettingError for an empty prompt, one that leaves no room in the model's window, or a
    batch size below 1.
    """
    if batch_size < 1:
        raise SettingError("batch_size", batch_size, "must be at least 1", remedy="16 is usual")
    bounded = budget_tokens is not None and budget_tokens <= model.max_position
    vocab_size = model.config.get_text_config().vocab_size
    for request in requests:
        named = (*request.prompt, *(token for token, _ in request.sampling.logit_bias))
        if named and max(named) >= vocab_size:
            rule = f"of the tokenizer must be below the model's vocabulary of {vocab_size}"
            remedy = f"Use the tokenizer that belongs to {model.folder}"
            raise SettingError("token", max(named), rule, remedy=remedy)
        _check_room(request, None if bounded else model.max_position)
    return max((len(r.prompt) + r.sampling.max_new_tokens for r in requests), default=0)


def _check_room(request: Request, max_position: int | None) -> None:
    length = len(request.prompt)
    if length == 0:
        raise SettingError("prompt", request.id, "must not be empty", remedy="Give it a token")
    if max_position is not None and length + request.sampling.max_new_tokens > max_position:
        raise SettingError(
            f"prompt of {request.id} with {request.sampling.max_new_tokens} new tokens",
            length,
            f"must fit the model's window of {max_position} tokens",
            remedy="Shorten the prompt or lower max_new_tokens",
        )
