"""`burnish serve` and `burnish sandbox serve`: parts made from settings, and served."""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.base.errors import SettingError
from burnish.base.progress import say
from burnish.server.app import Parts, make_app
from burnish.server.gate import Gate
from burnish.server.metrics import Metrics
from burnish.server.run import listen
from burnish.server.served import ServedModel
from burnish.server.settings import ServeSettings
from burnish.server.worker import Opener, Worker

if TYPE_CHECKING:
    from burnish.contracts.kv_policy import KVPolicy
    from burnish.models.handle import ModelHandle
    from burnish.models.load import Model
    from burnish.stream.asking import Index

PLAIN, FULL, AUTO = "plain", "full", "auto"


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """The sandbox's endpoints: jobs in parallel, 0 for none, and how they are isolated."""

    num_workers: int = 2
    isolation: str = "auto"


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What is served and how it decodes.

    `model`: empty stands for that of the first index, or smollm2-135m. `name` is what clients call
    it; empty: the embedded name, or the folder's. `indexes`: folders that `stream ingest` made;
    clients ask about each under its folder's name. `context_tokens`: most tokens of a prompt and
    its answer; 0 uses the model's window, at most 8192. `draft` and `kv` are those of
    `burnish generate`; answers about a document follow its index instead.
    """

    model: str = ""
    name: str = ""
    indexes: tuple[str, ...] = ()
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


DEFAULT_MODEL, MOST_DEFAULT_TOKENS = "smollm2-135m", 8192


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
        served=open_served(settings, gate=gates["model"], metrics=metrics),
        num_sandbox_workers=settings.sandbox.num_workers,
        isolation=settings.sandbox.isolation,
    )


def open_served(settings: ModelSettings, **queue: Any) -> ServedModel:
    """Load the model, choose how it decodes, and start its worker; `queue`: gate and metrics."""
    from burnish.draft.choice import check_draft, choose
    from burnish.engine.generate import open_loop
    from burnish.engine.grammar import JsonForms
    from burnish.engine.policies import bounded_policy
    from burnish.kv.policies import kv_policies

    check_draft(settings.draft)
    kv_policies.parse(settings.kv)  # a slip is told before the model is loaded
    handle = _handle(settings)
    model = handle.model
    policy = bounded_policy(model, settings.kv)
    context, is_bounded = _context(settings, model, policy)
    name = settings.name or Path(handle.spec).name
    indexes = _open_indexes(settings, handle, name)
    num_slots = settings.listen.num_workers
    opened = {"num_slots": num_slots, "capacity_tokens": context}
    choice = choose(model, settings.draft, batch_size=num_slots)
    others = {own: _index_opener(index, num_slots) for own, index in indexes.items()}
    if policy is not None:
        main = partial(open_loop, model, kv=policy, **opened)
    else:
        main = partial(choice.open_loop, model, **opened)
    worker = Worker(lambda done: main(on_done=done), others=others)
    worker.start()
    return ServedModel(
        name=name,
        model=model,
        worker=worker,
        forms=JsonForms(model),
        context_tokens=context,
        created=int(time.time()),
        is_bounded=is_bounded,
        draft=choice.name,
        kv=settings.kv,
        indexes=indexes,
        **queue,
    )


def _handle(settings: ModelSettings) -> "ModelHandle":
    """The model: the one that is named, or that of the first index."""
    from burnish.models.handle import ModelHandle
    from burnish.stream.folder import read_manifest

    spec, precision = settings.model, settings.precision
    if settings.indexes:
        made_by, made_as = read_manifest(Path(settings.indexes[0])).made_by
        spec, precision = spec or made_by, made_as if precision == AUTO else precision
    place = {"precision": precision, "device": settings.device}
    return ModelHandle(spec or DEFAULT_MODEL, **place, prepared=True)


def _context(
    settings: ModelSettings, model: "Model", policy: "KVPolicy | None"
) -> tuple[int, bool]:
    """Most tokens of a text, and whether prompts may be longer. Raises SettingError."""
    from burnish.engine.generate import budget_of

    budget = budget_of(policy)
    is_bounded = budget is not None and budget <= model.max_position
    context = settings.context_tokens or min(model.max_position, MOST_DEFAULT_TOKENS)
    if context > model.max_position and not is_bounded:
        rule = f"must fit the model's window of {model.max_position} tokens"
        remedy = "Lower context_tokens, or bound what is kept with --kv"
        raise SettingError("context_tokens", context, rule, remedy=remedy)
    return context, is_bounded


def _open_indexes(settings: ModelSettings, handle: "ModelHandle", name: str) -> dict[str, "Index"]:
    """The documents by their names. Raises SettingError for a name twice, and what Index raises."""
    from burnish.stream.asking import Index

    found: dict[str, Index] = {}
    for folder in map(Path, settings.indexes):
        own = folder.resolve().name
        if own in (name, handle.spec, *found):
            remedy = "Rename the folder: clients ask about a document by its name"
            raise SettingError("index", own, "must have a name of its own", remedy=remedy)
        found[own] = Index(folder, model=handle)
    return found


def _index_opener(index: "Index", num_slots: int) -> Opener:
    from burnish.stream.serving import open_index_loop

    return lambda done: open_index_loop(index, num_slots=num_slots, on_done=done)
