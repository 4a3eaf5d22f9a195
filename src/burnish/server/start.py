"""`burnish serve` and `burnish sandbox serve`: parts made from settings, and served."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from burnish.base.errors import SettingError
from burnish.base.progress import say
from burnish.server.app import Parts, make_app
from burnish.server.gate import Gate
from burnish.server.metrics import Metrics
from burnish.server.run import listen
from burnish.server.served import ServedModel
from burnish.server.settings import ServeSettings
from burnish.server.worker import Worker

PLAIN, FULL = "plain", "full"


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """The sandbox's endpoints: jobs in parallel, 0 for none, and how they are isolated."""

    num_workers: int = 2
    isolation: str = "auto"


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What is served and how it decodes.

    `name` is what clients call it; empty: the embedded name, or the folder's. `context_tokens`:
    most tokens of a prompt and its answer; 0 uses the model's window, at most 8192. `draft` and
    `kv` are those of `burnish generate`.
    """

    model: str = "smollm2-135m"
    name: str = ""
    precision: str = "auto"
    device: str = "auto"
    draft: str = PLAIN
    kv: str = FULL
    context_tokens: int = 0
    listen: ServeSettings = field(default_factory=ServeSettings)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)

    def __post_init__(self) -> None:
        if self.context_tokens < 0:
            remedy = "0 uses the model's window"
            raise SettingError(
                "context_tokens", self.context_tokens, "must not be negative", remedy=remedy
            )
        if self.draft != PLAIN and self.kv != FULL:
            remedy = "Leave --draft or --kv out"
            raise SettingError("draft", self.draft, "must be plain with a KV policy", remedy=remedy)


MOST_DEFAULT_TOKENS = 8192


def serve_model(settings: ModelSettings) -> None:
    """Load a model and answer until a signal. Raises what loading and `listen` raise."""
    token = settings.listen.read_token()
    parts = make_parts(settings, token)
    served = parts.served
    assert served is not None
    if served.draft != PLAIN:
        say(f"draft: {served.draft}")
    try:
        listen(make_app(parts), settings.listen, list(parts.gates.values()))
    finally:
        served.worker.stop()


def serve_sandbox(listen_settings: ServeSettings, sandbox: SandboxSettings) -> None:
    """Answer the sandbox's endpoints until a signal. Raises what `listen` raises."""
    parts = Parts(token=listen_settings.read_token(), isolation=sandbox.isolation)
    parts.num_sandbox_workers = sandbox.num_workers
    parts.gates = {"sandbox": open_gate(listen_settings, sandbox.num_workers)}
    listen(make_app(parts), listen_settings, list(parts.gates.values()))


def open_gate(settings: ServeSettings, num_workers: int) -> Gate:
    """A queue before so many workers."""
    waiting = {"max_waiting": settings.max_waiting, "deadline_s": settings.deadline_s}
    return Gate(num_workers=num_workers, **waiting)


def make_parts(settings: ModelSettings, token: str = "") -> Parts:
    """The parts of a model's server, its worker running. Raises what loading raises."""
    gates = {"model": open_gate(settings.listen, settings.listen.num_workers)}
    if settings.sandbox.num_workers:
        gates["sandbox"] = open_gate(settings.listen, settings.sandbox.num_workers)
    metrics = Metrics(gates)
    return Parts(
        token=token,
        gates=gates,
        metrics=metrics,
        served=open_served(settings, gates["model"], metrics),
        num_sandbox_workers=settings.sandbox.num_workers,
        isolation=settings.sandbox.isolation,
    )


def open_served(settings: ModelSettings, gate: Gate, metrics: Metrics) -> ServedModel:
    """Load the model, choose how it decodes, and start its worker."""
    from burnish.draft.choice import check_draft, choose
    from burnish.engine.generate import budget_of, open_loop
    from burnish.engine.policies import bounded_policy
    from burnish.kv.policies import kv_policies
    from burnish.models.load import load_model

    check_draft(settings.draft)
    kv_policies.parse(settings.kv)  # a slip is told before the model is loaded
    place = {"precision": settings.precision, "device": settings.device}
    model = load_model(settings.model, **place, prepared=True)
    policy = bounded_policy(model, settings.kv)
    budget = budget_of(policy)
    is_bounded = budget is not None and budget <= model.max_position
    window = min(model.max_position, MOST_DEFAULT_TOKENS)
    context = settings.context_tokens or window
    if context > model.max_position and not is_bounded:
        rule = f"must fit the model's window of {model.max_position} tokens"
        remedy = "Lower --context, or bound what is kept with --kv"
        raise SettingError("context_tokens", context, rule, remedy=remedy)
    opened = {"num_slots": settings.listen.num_workers, "capacity_tokens": context}
    choice = choose(model, settings.draft, batch_size=settings.listen.num_workers)
    if policy is not None:
        worker = Worker(lambda done: open_loop(model, kv=policy, on_done=done, **opened))
    else:
        worker = Worker(lambda done: choice.open_loop(model, on_done=done, **opened))
    worker.start()
    return ServedModel(
        name=settings.name or Path(settings.model).name,
        model=model,
        worker=worker,
        gate=gate,
        metrics=metrics,
        context_tokens=context,
        created=int(time.time()),
        is_bounded=is_bounded,
        draft=choice.name,
        kv=settings.kv,
    )
