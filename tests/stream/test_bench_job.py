"""`stream bench`: sizes are counted, finished lengths are kept."""

from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import SettingError
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
    assert large["index_bytes"] == 3 * blocks * (2 * 6 * 4 + 16)
    again = bench_stream(settings, runs=tmp_path)
    assert again["lengths"] == result["lengths"]
    assert anonymous_bytes() > 1e6


def test_refusals() -> None:
    with pytest.raises(SettingError, match="must be positive and ascending"):
        BenchSettings(lengths=(4, 2))
    with pytest.raises(SettingError, match="must be positive and ascending"):
        BenchSettings(lengths=(4, 4))
    with pytest.raises(SettingError, match="must be a policy that retrieves"):
        BenchSettings(policy="full")
