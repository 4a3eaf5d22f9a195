"""The bench's arithmetic on planted cells, its log, and its arms on a tiny model."""

from pathlib import Path
from typing import Any

import pytest

from burnish.base.records import write_records
from burnish.contracts.generation import Completion, Sampling
from burnish.draft import bench_cells as bench_module
from burnish.draft.bench_cells import (
    Cell,
    make_arms,
    measure_cells,
    requests_for,
    stratified,
    summarise,
)


def cell(arm: str, prompt: int, seconds: float, *, text: str = "t", passes: int = 11) -> Cell:
    return Cell(
        prompt=str(prompt), arm=arm, repeat=0, tokens=text, num_tokens=21, num_passes=passes,
        seconds=seconds, load=0.0,
    )  # fmt: skip


def check_speed(summary: Any) -> None:
    """Drafts take half the time, but for one prompt of ten with another text."""
    cells = []
    for prompt in range(10):
        seconds = 1.0 + prompt / 10
        cells.append(cell("plain", prompt, seconds, passes=21))
        cells.append(cell("firp", prompt, seconds / 2, text="t" if prompt else "other"))
    found = summary(cells)["firp"]
    assert found["speedup"]["value"] == pytest.approx(2.0)
    assert found["tokens_per_s"]["value"] == pytest.approx(210 / (14.5 / 2))
    assert found["tokens_per_s"]["low"] < 210 / (14.5 / 2) < found["tokens_per_s"]["high"]
    assert found["tokens_per_step"]["value"] == pytest.approx(20 / 10)
    assert found["identical"]["value"] == pytest.approx(0.9)
    assert summary(cells)["plain"]["speedup"]["value"] == 1.0
    read = [cell("prefill", prompt, 0.25) for prompt in range(10)]
    found = summary([*cells, *read])
    assert set(found) == {"plain", "firp"}
    assert found["firp"]["decode_speedup"]["value"] == pytest.approx(12.0 / (14.5 / 2 - 2.5))


def test_planted_speed_is_found() -> None:
    check_speed(summarise)


def test_planted_prefill_among_the_steps() -> None:
    def spoilt(cells: list[Cell]) -> Any:
        return summarise([Cell(**{**vars(c), "num_passes": c.num_passes + 1}) for c in cells])

    with pytest.raises(AssertionError):
        check_speed(spoilt)


def test_measured_cells_are_kept(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    sampling = Sampling(max_new_tokens=6)
    requests = requests_for(model, ["one", "two", "in the hat"], sampling)
    calls: list[tuple[str, str]] = []

    def arm(name: str) -> Any:
        def run(request: Any) -> Completion:
            calls.append((name, request.id))
            if len(calls) == 6:
                raise KeyboardInterrupt
            return Completion(id=request.id, tokens=(1, 2), text="", finish="length", num_passes=2)

        return run

    arms = {name: arm(name) for name in ("plain", "firp")}
    with pytest.raises(KeyboardInterrupt):
        measure_cells(arms, requests, tmp_path / "cells.jsonl", repeats=2)
    done = measure_cells(arms, requests, tmp_path / "cells.jsonl", repeats=2)
    assert len(done) == len({(c.prompt, c.arm, c.repeat) for c in done}) == 2 * 3 * 2
    assert len(calls) == 2 + 4 + 2 + (12 - 3)  # warm-ups, those before the kill, the others
    again = len(calls)
    assert measure_cells(arms, requests, tmp_path / "cells.jsonl", repeats=2) == done
    assert len(calls) == again


def test_enough_ends_between_prompts(tiny_model: Any, tmp_path: Path) -> None:
    """Every prompt that was begun is measured by all arms, and a later call does the rest."""
    model, log = tiny_model("llama"), tmp_path / "cells.jsonl"
    requests = requests_for(model, ["one", "two", "three"], Sampling(max_new_tokens=2))
    arms, asked = make_arms(model, {"ngram": "ngram"}), iter([False, False, True])
    some = measure_cells(arms, requests, log, enough=lambda: next(asked))
    assert len(some) == 2 * len(arms)
    assert len(measure_cells(arms, requests, log)) == 3 * len(arms)


def test_arms_agree_on_a_tiny_model(tiny_model: Any, tmp_path: Path) -> None:
    model = tiny_model("llama")
    arms = make_arms(model, {"ngram": "ngram", "constant": "constant"})
    requests = requests_for(model, ["one", "the hat in the hat"], Sampling(max_new_tokens=9))
    found = summarise(measure_cells(arms, requests, tmp_path / "cells.jsonl"))
    assert set(found) == {"plain", "ngram", "constant"}
    assert all(arm["identical"]["value"] == 1.0 for arm in found.values())
    assert found["plain"]["tokens_per_step"]["value"] == pytest.approx(1.0)


def test_prompts_are_stratified(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [{"category": "qa", "turns": [f"q{i}"]} for i in range(6)]
    rows += [{"category": "rag", "turns": [f"r{i}"]} for i in range(3)]
    rows += [{"category": name, "turns": [name]} for name in ("writing", "math")]
    write_records(path, rows)
    found = stratified(path, 6)
    assert sorted(p[0] for p in found) == ["m", "q", "q", "r", "r", "w"]
    assert len(stratified(path, 0)) == 11
    assert stratified(path, 6) == found


def test_ready_drafters_are_used(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    exact = bench_module.make_ready

    def counted(spec: Any, model: Any) -> Any:
        begun.append(spec)
        return exact(spec, model)

    monkeypatch.setattr(bench_module, "make_ready", counted)
    arms = make_arms(tiny_model("llama"), {"ngram": "ngram"})
    requests = requests_for(tiny_model("llama"), ["one"], Sampling(max_new_tokens=2))
    for _ in range(3):
        arms["ngram"](requests[0])
    assert begun == ["ngram"]
