"""`burnish stream bench`: memory and latency by length, with far tokens on disk."""

import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.base.progress import Progress
from burnish.base.rng import stream
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.engine.policies import CHUNK_ROWS, needs_surprise, read_rows, shape_of
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value, Verification
from burnish.models.handle import ModelHandle
from burnish.stream.page import bench_page
from burnish.stream.reading import check_decoder, index_size, retrieving_policy

WHAT = "stream-bench"


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """Settings of `burnish stream bench`: `lengths` [tokens], and `steps` tokens decoded at each.

    The median is that of a token; the mean also has its part of the choice that `every_tokens` of a
    policy makes.
    `policy` retrieves; `budget` are its far tokens.
    """

    model: str = "smollm2-135m"
    policy: str = "triangle-dp"
    lengths: tuple[int, ...] = (2048, 4096, 8192)
    budget: int = 1024
    steps: int = 16
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            not self.lengths
            or min(self.lengths) < 1
            or list(self.lengths) != sorted({*self.lengths})
        ):
            rule, remedy = "must be positive and ascending", "For example 2048,4096,8192"
            raise SettingError("lengths", list(self.lengths), rule, remedy=remedy)
        if self.steps < 1:
            raise SettingError("steps", self.steps, "must be at least 1", remedy="16 is usual")
        retrieving_policy(self.policy, self.budget)


def bench_stream(
    settings: BenchSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Time each length; finished lengths are not timed again.

    Source: ours. Oracle: tests/stream/test_bench_job.py::test_sizes_are_counted
    """
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(bench_job(settings), place)


def bench_job(settings: BenchSettings) -> Job:
    """The job of `stream bench`. Raises what `ModelHandle.key` raises."""
    handle = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    key = handle.key
    steps = [
        LengthStep(settings=settings, length=length, name=f"length-{length}")
        for length in settings.lengths
    ]
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[*steps, TellStep(settings=settings)],
        given={"model": Value(key, lambda: handle)},
        header=Header(title=f"burnish stream bench: {settings.model}"),
        base=settings.model,
    )


@dataclass(frozen=True, kw_only=True)
class LengthStep(Step):
    """Measures one length. Times differ between runs, so only its file is verified."""

    settings: BenchSettings
    length: int
    name: str
    verified: Verification = "files"

    guards = (ITSELF,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The model."""
        return ("model",)

    @property
    def writes(self) -> Mapping[str, str]:
        """The row of this length."""
        return {f"row of {self.length}": ""}

    def open(self, name: str, done: StageResult, given: Given) -> Any:
        """The row."""
        return done.output["row"]

    def key_of(self, name: str, done: StageResult) -> str:
        """The key of the row."""
        return str(sorted(done.output["row"].items()))

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Read random tokens, then decode."""
        model = given["model"].model
        check_decoder(model)
        return {"row": time_length(model, self.settings, self.length)}


@dataclass(frozen=True, kw_only=True)
class TellStep(Step):
    """Reports all lengths side by side."""

    settings: BenchSettings
    name: str = "tell"
    verified: Verification = "files"

    @property
    def reads(self) -> tuple[str, ...]:
        """The rows."""
        return tuple(f"row of {length}" for length in self.settings.lengths)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Collect the rows."""
        return {"lengths": [given[f"row of {length}"] for length in self.settings.lengths]}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Numbers and page."""
        numbers = {"lengths": done.output["lengths"]}
        return (Told.of_page(bench_page(numbers), numbers),)


@torch.inference_mode()
def time_length(model: Any, settings: BenchSettings, length: int) -> dict[str, Any]:
    """Prefill rate of the last quarter, time to decode a token, and memory by kind."""
    policy = replace(retrieving_policy(settings.policy, settings.budget), tier="disk")
    shape, tell = shape_of(model), needs_surprise(policy)
    memory = policy.open(shape)
    vocabulary = model.network.shape.vocab_size
    ids = stream(settings.seed, "bench").integers(3, vocabulary, length + settings.steps).tolist()
    late, late_tokens = 0.0, 0
    with Progress(length, f"length {length}", "tokens") as progress:
        for begin in range(0, length, CHUNK_ROWS):
            chunk = ids[begin : min(begin + CHUNK_ROWS, length)]
            started = time.perf_counter()
            read_rows(model.network, [memory], [chunk], surprises=tell)
            if begin >= 3 * length // 4 or begin + CHUNK_ROWS >= length:
                late, late_tokens = late + time.perf_counter() - started, late_tokens + len(chunk)
            progress.advance(len(chunk))
    times = []
    for token in ids[length:]:
        started = time.perf_counter()
        model.network.head(read_rows(model.network, [memory], [[token]], surprises=tell))
        times.append(1000 * (time.perf_counter() - started))
    gc.collect()
    row_bytes = sum(store.row_bytes for store in memory.stores)
    return {
        "length": length,
        "decode_ms": round(statistics.median(times), 3),
        "decode_mean_ms": round(statistics.mean(times), 3),
        "prefill_tokens_per_s": round(late_tokens / late, 2),
        "anonymous_bytes": anonymous_bytes(),
        "index_bytes": memory.index_bytes,
        "mapped_bytes": memory.stores[0].num_mapped_tokens * row_bytes,
        "working_tokens": memory.peak_tokens,
        **index_size(memory, shape),
    }


def anonymous_bytes() -> int:
    """Anonymous memory of this process [bytes]; 0 if the system does not report it."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith("RssAnon")]
    return 1024 * int(found[0]) if found else 0
