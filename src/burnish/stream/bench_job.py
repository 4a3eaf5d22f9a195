"""`burnish stream bench`: memory and latency by length, with far tokens on disk."""

import gc
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import SettingError
from burnish.base.items import ItemLog
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
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[LengthsStep(settings=settings)],
        given={"model": Value(key, lambda: handle)},
        header=Header(title=f"burnish stream bench: {settings.model}"),
        base=settings.model,
    )


@dataclass(frozen=True, kw_only=True)
class LengthsStep(Step):
    """Measures all lengths in one reading. Times differ between runs: only files are verified."""

    settings: BenchSettings
    name: str = "lengths"
    verified: Verification = "files"

    guards = (ITSELF,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The model."""
        return ("model",)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Read random tokens, and decode at each length that is missing."""
        settings = self.settings
        log = ItemLog(stage.path / "lengths.jsonl", fields=("length",))
        missing = [length for length in settings.lengths if length not in log.done]
        if missing:
            model = given["model"].model
            check_decoder(model)
            for row in time_lengths(model, settings, missing):
                log.keep(row)
        return {"lengths": [log.done[length] for length in settings.lengths]}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Numbers and page."""
        numbers = {"lengths": done.output["lengths"]}
        return (Told.of_page(bench_page(numbers), numbers),)


@torch.inference_mode()
def time_lengths(
    model: Any, settings: BenchSettings, lengths: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Prefill rate of each length's last quarter, time to decode a token, and memory by kind.

    One text is read, up to the longest; what is decoded at a length is taken back.
    Source: ours. Oracle: tests/stream/test_bench_job.py::test_one_reading_is_several_readings
    """
    policy = replace(retrieving_policy(settings.policy, settings.budget), tier="disk")
    shape, tell = shape_of(model), needs_surprise(policy)
    memory, network = policy.open(shape), model.network
    ids = stream(settings.seed, "bench").integers(
        3, network.shape.vocab_size, lengths[-1] + settings.steps
    ).tolist()  # fmt: skip
    row_bytes = sum(store.row_bytes for store in memory.stores)
    taken: list[tuple[int, int, float]] = []  # first token and end of each chunk, seconds
    with Progress(lengths[-1], "read", "tokens") as progress:
        for begin, end in itertools.pairwise(chunk_ends(lengths)):
            started = time.perf_counter()
            read_rows(network, [memory], [ids[begin:end]], surprises=tell)
            taken.append((begin, end, time.perf_counter() - started))
            progress.advance(end - begin)
            if end not in lengths:
                continue
            late = [one for one in taken if one[0] >= 3 * end // 4 or one[1] == end]
            mark, times = memory.mark(), []
            for token in ids[end : end + settings.steps]:
                started = time.perf_counter()
                network.head(read_rows(network, [memory], [[token]], surprises=tell))
                times.append(1000 * (time.perf_counter() - started))
            memory.rewind(mark)
            del mark  # it holds states that reading on replaces
            gc.collect()
            rate = sum(one[1] - one[0] for one in late) / sum(one[2] for one in late)
            yield {
                "length": end,
                "decode_ms": round(statistics.median(times), 3),
                "decode_mean_ms": round(statistics.mean(times), 3),
                "prefill_tokens_per_s": round(rate, 2),
                "anonymous_bytes": anonymous_bytes(),
                "index_bytes": memory.index_bytes,
                "mapped_bytes": memory.stores[0].num_mapped_tokens * row_bytes,
                "working_tokens": memory.peak_tokens,
                **index_size(memory, shape),
            }


def chunk_ends(lengths: Sequence[int]) -> list[int]:
    """0, and where the chunks end in which a text is read: every 512 tokens, and at each length."""
    return sorted({*range(0, lengths[-1], CHUNK_ROWS), *lengths})


def anonymous_bytes() -> int:
    """Anonymous memory of this process [bytes]; 0 if the system does not report it."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith("RssAnon")]
    return 1024 * int(found[0]) if found else 0
