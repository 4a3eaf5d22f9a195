"""`stream bench`: sizes are counted, finished lengths are kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.stream import bench_job
from burnish.stream.bench_job import BenchSettings, anonymous_bytes, bench_stream

SPEC = "blocks:size=16,local_tokens=32,num_sinks=2"


def test_sizes_are_counted(tiny_folder: Any, tmp_path: Path) -> None:
    settings = BenchSettings(
        model=str(tiny_folder()), policy=SPEC, lengths=(200, 1400), budget=64, steps=2,
        precision="fp32",
    )  # fmt: skip
    result = bench_stream(settings, runs=tmp_path)
    small, large = result["lengths"]
    assert (small["length"], large["length"]) == (200, 1400)
    assert large["working_tokens"] <= 2 + 64 + 32 + 15 + 512
    assert small["mapped_bytes"] == 0 < large["mapped_bytes"]
    assert large["kv_bytes_per_token"] == 3 * 2 * 2 * 6 * 4
    blocks = (1400 - 32 - 2) // 16
    assert large["index_bytes"] == 3 * blocks * (2 * 6 * 4 + 4 * 8 + 2 * 4)
    again = bench_stream(settings, runs=tmp_path)
    assert again["lengths"] == result["lengths"]
    assert anonymous_bytes() > 1e6


def test_one_reading_is_several_readings(tiny_folder: Any, tmp_path: Path) -> None:
    """Decoding at a length leaves nothing behind for the next; interrupted, lengths are kept."""
    kinds = ("index_bytes", "mapped_bytes", "working_tokens", "kv_bytes_per_token")
    model = str(tiny_folder())
    found = {}
    for lengths in ((512, 1024), (512,), (1024,)):
        settings = BenchSettings(model=model, policy=SPEC, lengths=lengths, budget=64, steps=40,
                                 precision="fp32")  # fmt: skip
        found[lengths] = bench_stream(settings, runs=tmp_path)["lengths"]
    for whole, (alone,) in zip(found[512, 1024], (found[512,], found[1024,]), strict=True):
        assert {n: whole[n] for n in kinds} == {n: alone[n] for n in kinds}


def test_finished_lengths_are_kept(tiny_folder: Any, tmp_path: Path, monkeypatch: Any) -> None:
    settings = BenchSettings(model=str(tiny_folder()), policy=SPEC, lengths=(200, 400, 600),
                             budget=64, steps=2, precision="fp32")  # fmt: skip
    real = bench_job.time_lengths

    def stopped(*words: Any) -> Any:
        rows = real(*words)
        yield next(rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_job, "time_lengths", stopped)
    with pytest.raises(KeyboardInterrupt):
        bench_stream(settings, runs=tmp_path)
    (log,) = {path.resolve() for path in tmp_path.glob("*/stages/lengths/lengths.jsonl")}
    (first,) = map(json.loads, log.read_text().splitlines())
    asked = []
    monkeypatch.setattr(
        bench_job,
        "time_lengths",
        lambda m, s, lengths: asked.append(lengths) or real(m, s, lengths),
    )
    rows = bench_stream(settings, runs=tmp_path)["lengths"]
    assert asked == [[400, 600]] and [row["length"] for row in rows] == [200, 400, 600]
    assert rows[0] == {n: v for n, v in first.items() if n in rows[0]}


def test_refusals() -> None:
    with pytest.raises(SettingError, match="must be positive and ascending"):
        BenchSettings(lengths=(4, 2))
    with pytest.raises(SettingError, match="must be positive and ascending"):
        BenchSettings(lengths=(4, 4))
    with pytest.raises(SettingError, match="must be a policy that retrieves"):
        BenchSettings(policy="full")
