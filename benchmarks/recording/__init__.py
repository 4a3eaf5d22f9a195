"""How every benchmark keeps its numbers: medians and intervals, beside machine and commit."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.provenance import code_hash, git_state, host, versions
from burnish.base.records import write_json
from burnish.base.rng import stream
from burnish.base.stats import bootstrap

RESULTS = Path(__file__).parents[1] / "results"


def median(values: Sequence[float]) -> dict[str, Any]:
    """Median with a bootstrap interval, and the single values."""
    rng = stream(0, "benchmark")
    estimate = bootstrap(values, rng=rng, statistic=lambda rows: float(np.median(rows)))
    return estimate.to_dict() | {"values": [round(value, 4) for value in values]}


def save(name: str, rows: dict[str, Any]) -> Path:
    """Write `results/NAME.json`."""
    path = RESULTS / f"{name}.json"
    circumstances = {
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "host": host(),
        "load_average": os.getloadavg(),
        "versions": versions(),
        "git": git_state(),
        "code_hash": code_hash(),
    }
    write_json(path, {"benchmark": name, **circumstances, "results": rows})
    print(f"saved {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path
