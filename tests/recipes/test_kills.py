"""SIGKILL at ten random moments: the resumed run ends with the result of an undisturbed one."""

import os
import signal
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.improving import SETTINGS, numbers_of, run_quietly

from burnish.base.records import read_json
from burnish.recipes.settings import PRESETS, ImproveSettings

NUM_KILLS = 10


def started(settings: ImproveSettings, runs: Path) -> Any:
    context = get_context("forkserver")
    context.set_forkserver_preload(["burnish.recipes.improve", "transformers"])
    process = context.Process(target=run_quietly, args=(settings, runs))
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_kills_change_no_number(settings: ImproveSettings, tmp_path: Path) -> None:
    """The preset `quick`, with the sizes of a tiny model."""
    sizes = ("split", "sample", "train", "measure", "memory", "speed", "general", "batch_size",
             "precision", "device")  # fmt: skip
    small = {name: getattr(SETTINGS, name) for name in sizes}
    quick = replace(PRESETS["quick"](), model=settings.model, tasks=settings.tasks, **small)
    began = time.monotonic()
    process = started(quick, tmp_path / "straight")
    process.join()
    assert process.exitcode == 0
    whole_s = time.monotonic() - began

    rng, killed = np.random.default_rng(5), 0
    while killed < NUM_KILLS:
        process = started(quick, tmp_path / "killed")
        process.join(float(rng.uniform(0.2, 0.5)) * whole_s)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            killed += 1
        elif killed < NUM_KILLS:  # it came to its end: what it left is resumed from its middle
            assert process.exitcode == 0
            (run,) = (p for p in (tmp_path / "killed").iterdir() if not p.is_symlink())
            done = sorted((run / "stages").glob("*/done.json"), key=lambda p: p.stat().st_mtime)
            for path in done[len(done) // 3 :]:
                path.unlink()
    process = started(quick, tmp_path / "killed")
    process.join()
    assert process.exitcode == 0
    results = []
    for name in ("straight", "killed"):
        (run,) = (p for p in (tmp_path / name).iterdir() if not p.is_symlink())
        results.append(numbers_of(read_json(run / "result.json")))
    assert results[0] == results[1]
