"""A curve as a run: resumed, sharded, reported."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import BurnishError
from burnish.base.records import RecordLog
from burnish.recall import shards as shards_module
from burnish.recall.page import make_page
from burnish.recall.run import make_material, measure_curve
from burnish.recall.settings import RecallSettings
from burnish.recall.shards import make_shards, open_tokenizer, run_shard
from burnish.report.html import render

VARYING = ("run", "cost", "minutes", "page")
Small = Callable[..., RecallSettings]


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in VARYING}


def check_resumed(settings: RecallSettings, tmp_path: Path, monkeypatch: Any) -> None:
    """Killed after every few rows, until it ends: the same numbers, and no row twice."""
    straight = measure_curve(settings, runs=tmp_path / "straight")
    append, kept = RecordLog.append, []

    def killed(self: RecordLog, row: dict[str, Any]) -> None:
        append(self, row)
        if "hits" in row:
            kept.append((row["side"], row["length"], row["trial"]))
            if len(kept) % 5 == 0:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordLog, "append", killed)
        for _ in range(9):
            try:
                bent = measure_curve(settings, runs=tmp_path / "bent")
                break
            except KeyboardInterrupt:
                continue
    assert len(kept) == len(set(kept)) == 2 * 3 * 3
    assert numbers(bent) == numbers(straight)


def test_killed_and_resumed_equals_straight(small: Small, tmp_path: Path, monkeypatch: Any) -> None:
    check_resumed(small(), tmp_path, monkeypatch)


def test_planted_log_that_is_not_read(small: Small, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(RecordLog, "read", lambda self: [])
    with pytest.raises((AssertionError, UnboundLocalError)):
        check_resumed(small(), tmp_path, monkeypatch)


def test_a_finished_run_is_not_measured_again(
    small: Small, tmp_path: Path, monkeypatch: Any
) -> None:
    first = measure_curve(small(), runs=tmp_path)
    monkeypatch.setattr(shards_module, "open_reader", None)  # would fail
    again = measure_curve(small(), runs=tmp_path)
    assert numbers(again) == numbers(first) and again["run"] == first["run"]
    files = {path.name for path in Path(first["run"]).iterdir()}
    assert {"run.json", "result.json", "events.jsonl", "stages", "report"} <= files
    assert json.loads((Path(first["run"]) / "result.json").read_text()) == again


@pytest.mark.parametrize("family", ["gpt2", "mamba"])
def test_other_architectures_run_too(family: str, small: Small, tmp_path: Path) -> None:
    result = measure_curve(small(family), runs=tmp_path)
    assert all(point["copy"]["n"] == 3 for point in result["points"])
    assert ("one forward pass" in result["cost"]["reader"]) == (family == "mamba")


def test_any_number_of_shards_gives_the_same(small: Small, tmp_path: Path) -> None:
    one, many = (
        measure_curve(small(shards=shards), runs=tmp_path / str(shards)) for shards in (1, 5)
    )
    assert numbers(one) == numbers(many)


def test_shards_deal_every_trial_once(small: Small, tmp_path: Path) -> None:
    settings = small(trials=7, shards=3)
    shards = make_shards(settings, make_material(settings), tmp_path)
    assert sorted(trial for shard in shards for trial in shard.trials) == list(range(7))
    assert len({shard.log for shard in shards}) == 3


@pytest.mark.slow
def test_processes_give_the_same(small: Small, tmp_path: Path) -> None:
    one = measure_curve(small(), runs=tmp_path / "one")
    settings = small(shards=2, launcher="processes:workers=2")
    assert numbers(measure_curve(settings, runs=tmp_path / "two")) == numbers(one)


def test_a_failed_row_is_tried_again(small: Small, tmp_path: Path) -> None:
    settings = small()
    shard = make_shards(settings, make_material(settings), tmp_path)[0]
    with RecordLog(shard.log) as log:
        log.append({"side": "lm", "length": 20, "trial": 0, "error": "MemoryError"})
    rows = run_shard(shard)["rows"]
    assert len(rows) == 18
    assert all("hits" in row for row in rows)
    again = run_shard(dataclasses.replace(shard, settings=small(model="no-such-model")))
    assert again["rows"] == rows  # nothing is missing, so no model is opened


def test_a_model_that_changed_is_measured_again(
    small: Small, tiny_folder: Any, tmp_path: Path
) -> None:
    """Its content counts: a copy with other times is the same model, another byte is not."""
    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "model")
    settings = small(model=str(folder))
    runs = tmp_path / "runs"
    measured = Path(measure_curve(settings, runs=runs)["run"]) / "stages" / "measure" / "done.json"
    before = measured.stat().st_mtime_ns
    weights = folder / "model.safetensors"
    os.utime(weights, (1, 1))
    measure_curve(settings, runs=runs)
    assert measured.stat().st_mtime_ns == before
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(weights, (1, 1))
    measure_curve(settings, runs=runs)
    assert measured.stat().st_mtime_ns != before


def test_the_page_can_be_drawn(small: Small, tmp_path: Path) -> None:
    result = measure_curve(small(), runs=tmp_path)
    broken = result["points"][1]
    broken |= {"copy": None, "lm": None, "gap": None, "p_value": None}
    broken |= {"state": "failed", "error": "MemoryError: <b>full</b>"}
    result |= {"num_failed_lengths": 1, "contaminated_trials": [1]}
    html = render(make_page(result))
    assert "Forgetting curve" in html
    assert "MemoryError: &lt;b&gt;full" in html
    assert "seems to know the text of trial 1" in html


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kv": "windw"}, "Did you mean 'window'"),
        ({"corpus": "stdlub"}, "Did you mean 'stdlib'"),
        ({"lengths": "20,9000"}, "must contain 18000 tokens"),
        ({"model": "no-such"}, "is neither an embedded model"),
        ({"launcher": "rey"}, "Did you mean 'ray'"),
    ],
)
def test_refusals_leave_no_run(
    changes: dict[str, Any], says: str, small: Small, tmp_path: Path
) -> None:
    with pytest.raises(BurnishError) as error:
        measure_curve(small(**changes), runs=tmp_path / "runs")
    assert says in str(error.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "changes", [{"trials": 1}, {"shards": 0}, {"margin": 0.0}, {"fine_share": 1.0},
                {"lengths": "x"}, {"mode": "both"}],
)  # fmt: skip
def test_settings_that_are_refused(changes: dict[str, Any], small: Small) -> None:
    with pytest.raises(BurnishError):
        small(**changes)


def test_a_server_needs_a_tokenizer(small: Small, tiny_folder: Any) -> None:
    address = "openai:http://127.0.0.1:1/v1#m"
    with pytest.raises(BurnishError, match="tokenizer must be given for a server"):
        open_tokenizer(small(model=address))
    assert open_tokenizer(small(model=address, tokenizer=str(tiny_folder("llama")))).vocab_size
