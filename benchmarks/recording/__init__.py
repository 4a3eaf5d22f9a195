"""How every benchmark keeps its numbers: medians, intervals, machine, peers and commit."""

import os
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.provenance import code_hash, git_state, host, versions
from burnish.base.records import content_hash, write_json
from burnish.base.rng import stream
from burnish.base.stats import bootstrap

RESULTS = Path(__file__).parents[1] / "results"
LOAD_BEFORE = os.getloadavg()[0]  # of others: a benchmark's own work is not in it yet


def median(values: Sequence[float]) -> dict[str, Any]:
    """Median with a bootstrap interval, and the single values."""
    rng = stream(0, "benchmark")
    estimate = bootstrap(values, rng=rng, statistic=lambda rows: float(np.median(rows)))
    return estimate.to_dict() | {"values": [round(value, 4) for value in values]}


def header(peers: Sequence[str] = ()) -> dict[str, Any]:
    """Machine, load before and now, versions, those of the peers, commit, and whether it is clean.

    `peers` are distributions (`trl`), or a name and its version (`bubblewrap 0.8.0`). The hash
    covers the package's Python, its C and its weights.
    """
    return {
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "host": host(),
        "load_before": LOAD_BEFORE,
        "load_average": os.getloadavg(),
        "versions": versions(),
        "peers": dict(map(_version, peers)),
        "git": git_state(),
        "code_hash": code_hash(),
    }


def save(name: str, rows: dict[str, Any], *, peers: Sequence[str] = ()) -> Path:
    """Write `results/NAME.json`; `peers` as in `header`."""
    path = RESULTS / f"{name}.json"
    write_json(path, {"benchmark": name, **header(peers), "results": rows})
    print(f"saved {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path


def cells_file(name: str) -> Path:
    """Log of finished cells, in `build/`: of this code on this machine, others are not resumed."""
    key = content_hash([code_hash(), host()])
    path = RESULTS.parents[1] / "build" / "benchmarks" / f"{name}-{key[:12]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _version(peer: str) -> tuple[str, str]:
    name, given, version = peer.partition(" ")
    try:
        return name, version if given else metadata.version(name)
    except metadata.PackageNotFoundError:
        return name, "not installed"
