"""What a run will take, said before it starts: from shapes, settings and a short calibration."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import DoesNotFitError, SettingError
from burnish.base.files import read_json
from burnish.base.stats import smallest_gain
from burnish.data.sources import load_tasks, parse_source
from burnish.data.splits import check_pool
from burnish.jobs.plan import total_cost
from burnish.models.cache import EMBEDDED
from burnish.models.handle import ModelHandle
from burnish.models.load import resolve_folder
from burnish.recipes.settings import ImproveSettings, room_tokens
from burnish.recipes.shifting import shifted_specs
from burnish.recipes.steps import parts_of
from burnish.recipes.steps.measure import ANSWER

SUSTAINED_FRAC = 0.5  # of the calibrated peak; measured on the laptop preset: 12.1 minutes
LOST_FRAC = 0.05  # guessed: of held-out tasks, right before and not after
OVERHEAD_MINUTES = 0.75  # loading, judging, writing
PARAMS_OF_EMBEDDED = {"smollm2-135m": 134_515_008}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What this machine does, from products of the sizes that a small model has."""

    flops_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Predicted cost of a run, set beside the actual one in the report.

    `smallest_gain`: what so many held-out tasks show in four of five runs, if one task in twenty
    that was right before is lost.
    """

    minutes: float
    memory_bytes: int
    disk_bytes: int
    generated_tokens: int
    prefilled_tokens: int
    trained_tokens: int
    num_heldout: int
    smallest_gain: float

    def sentence(self) -> str:
        """One line for people."""
        return (
            f"plan: about {self.minutes:.0f} minutes, {self.memory_bytes / 1e9:.1f} GB memory, "
            f"{self.disk_bytes / 1e9:.1f} GB disk; {self.generated_tokens:,} tokens written, "
            f"{self.prefilled_tokens:,} read, {self.trained_tokens:,} trained on; "
            f"{self.num_heldout} held-out tasks can show a gain of {100 * self.smallest_gain:.1f} "
            "points"
        )

    def to_dict(self) -> dict[str, Any]:
        """For `result.json`."""
        return asdict(self)


def calibrate(clock: Callable[[], float] = time.perf_counter) -> Calibration:
    """Two short numpy products, no torch: one bound by arithmetic, one by memory.

    Numpy has no bf16; a processor that has it does about 2.5 times the arithmetic.

    Source: ours.
    """
    wide, rows = np.ones((1024, 1024), np.float32), np.ones((512, 1024), np.float32)
    big, one = np.ones((4096, 4096), np.float32), np.ones(4096, np.float32)

    def best(product: Callable[[], object]) -> float:
        times = []
        for _ in range(6):
            start = clock()
            product()
            times.append(clock() - start)
        return min(times)

    return Calibration(
        flops_per_s=_bf16_factor() * 2 * 512 * 1024 * 1024 / best(lambda: rows @ wide),
        bytes_per_s=big.nbytes / best(lambda: big @ one),
    )


def _bf16_factor() -> float:
    """How much faster bf16 arithmetic is than fp32 here (measured: 2.5 with avx512_bf16)."""
    processor = Path("/proc/cpuinfo")
    flags = processor.read_text() if processor.exists() else ""
    return 2.5 if "avx512_bf16" in flags or "amx_bf16" in flags else 1.0


def known_items(settings: ImproveSettings, num_params: int) -> dict[str, int]:
    """What steps count their costs from before any has run.

    Source: ours. Oracle: tests/recipes/test_planning.py::test_programs_are_long
    """
    room = room_tokens(settings.tasks)  # half of it: MBPP's solutions have 51 tokens in the median
    return {"params": num_params} | ({ANSWER: room // 2} if room else {})


def make_plan(settings: ImproveSettings, num_params: int, machine: Calibration) -> Plan:
    """Predict a run from what its steps say they cost.

    A decode step streams the weights once for a batch and computes two FLOPs a parameter a row;
    a trained token costs three times a read one.
    Source: the usual 2N and 6N counts, arXiv 2001.08361, section 2.1.
    Oracle: tests/recipes/test_planning.py::test_plan_scales
    """
    cost = total_cost(parts_of(settings), known_items(settings, num_params))
    tokens = cost.generated_tokens + cost.prefilled_tokens + 3 * cost.trained_tokens
    flops = 2.0 * num_params * tokens
    reads = cost.generated_tokens / settings.batch_size  # of all weights, while decoding
    stream = num_params * 2 / machine.bytes_per_s * reads
    arithmetic = flops / (SUSTAINED_FRAC * machine.flops_per_s)
    return Plan(
        minutes=(arithmetic + stream) / 60 + OVERHEAD_MINUTES,
        memory_bytes=cost.memory_bytes,
        disk_bytes=int(cost.disk_bytes + num_params * 4 + 1e8),
        generated_tokens=cost.generated_tokens,
        prefilled_tokens=cost.prefilled_tokens,
        trained_tokens=cost.trained_tokens,
        num_heldout=settings.split.heldout,
        smallest_gain=smallest_gain(settings.split.heldout, lost_frac=LOST_FRAC),
    )


def check_fits(plan: Plan, folder: Path) -> None:
    """Raise DoesNotFitError (exit status 3) where memory or disk is too small."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if plan.memory_bytes > memory:
        raise DoesNotFitError(
            "memory",
            f"{memory / 1e9:.1f} GB",
            f"must hold {plan.memory_bytes / 1e9:.1f} GB",
            remedy="Use a smaller model, or --set train.method=lora",
        )
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if plan.disk_bytes > free:
        raise DoesNotFitError(
            f"disk of {place}",
            f"{free / 1e9:.1f} GB free",
            f"must hold {plan.disk_bytes / 1e9:.1f} GB",
            remedy="Free some space, or name another place with --runs",
        )


def guess_params(spec: str) -> int:
    """Parameters of a model by its file sizes, without loading it; `models show` counts exactly.

    A model of the hub or in GGUF is fetched or converted first. Raises what `load_model` does
    where there is no such model.
    """
    if spec in PARAMS_OF_EMBEDDED:
        return PARAMS_OF_EMBEDDED[spec]
    folder = resolve_folder(spec)
    config = read_json(folder / "config.json")
    width = 4 if config.get("dtype", config.get("torch_dtype")) == "float32" else 2
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) // width


def check_tasks(settings: ImproveSettings) -> None:
    """Make the pool as the run will: what it would refuse later shows before it begins.

    Raises what `load_tasks` and `split_tasks` do.
    """
    pool = [task for spec in settings.tasks for task in load_tasks(spec, seed=settings.seed)]
    check_pool(pool, **asdict(settings.split))
    for spec in shifted_specs(settings.tasks, settings.shift.tasks, settings.shift.num):
        parse_source(spec)


def check_models(settings: ImproveSettings) -> None:
    """Refuse a server as the model that is trained, and a sampler that cannot be what it is.

    Raises SettingError, and what `resolve_folder` raises for a sampler that does not exist.
    """
    sample = settings.sample
    if ModelHandle(settings.model).is_server:
        rule = "must be a local model: it is trained and measured"
        remedy = "Name the server as --set sample.model=openai:URL#name, and a local MODEL"
        raise SettingError("MODEL", settings.model, rule, remedy=remedy)
    sampler = ModelHandle(sample.model)
    if not sampler.is_server:
        if sample.model and sample.model not in EMBEDDED:
            _ = sampler.folder
        return
    _ = sampler.remote
    if sample.draft not in ("auto", "plain"):
        rule, remedy = "must be left out for a server's model", "The server decides how it decodes"
        raise SettingError("sample.draft", sample.draft, rule, remedy=remedy)


def plan_improve(settings: ImproveSettings, runs: Path) -> Plan:
    """Predict the run. Raises DoesNotFitError, and what a wrong model or task source raises."""
    check_models(settings)
    check_tasks(settings)
    plan = make_plan(settings, guess_params(settings.model), calibrate())
    check_fits(plan, runs)
    return plan
