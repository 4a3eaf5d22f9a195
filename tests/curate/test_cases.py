"""Pools and benchmarks that people bring: every row of ../shared/cases/curate.jsonl."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.cases import Cases

from burnish.base.records import read_records, write_records
from burnish.contracts.executor import RunState
from burnish.curate.greedy import greedy
from burnish.curate.leaks import scan_pool
from burnish.curate.settings import LeakageSettings
from burnish.data.benchmarks import load_benchmark
from burnish.distrib import launchers

cases = Cases("curate.jsonl")


def test_every_row_has_a_test() -> None:
    cases.check_names()


@pytest.fixture
def curate(burnish, tmp_path, tiny_folder):
    """Run a curate command on a row's pool, its benchmark beside it; result, and stage folder."""

    def run(verb: str, row: Any, *words: Any, status: int = 0) -> tuple[Any, Path]:
        write_records(tmp_path / "pool.jsonl", row["rows"])
        more = list(words)
        if verb == "leakage":
            write_records(tmp_path / "items.jsonl", row["benchmark"])
            more += ["--benchmark", tmp_path / "items.jsonl"]
        if verb == "pick":
            more += ["--set", f"model={tiny_folder()}"]
        done = burnish("curate", verb, tmp_path / "pool.jsonl", *more, "--runs", tmp_path / "runs",
                       "--json")  # fmt: skip
        assert done.status == status, done.err
        return done.json, Path(done.json["run"]) / "stages" / verb

    return run


def ids(path: Path) -> list[Any]:
    return [row["id"] for row in read_records(path)]


def flagged(told: Any) -> list[Any]:
    return [row["id"] for row in told["flagged"]]


def in_blocks(row: Any, threshold: float) -> set[tuple[Any, ...]]:
    """What the walk chooses, for every block size."""
    ordered = sorted(row["rows"], key=lambda one: -one["score"])
    vectors = np.array([one["embedding"] for one in ordered])
    sizes = range(1, len(ordered) + 1)
    found = (greedy(vectors, threshold=threshold, block_rows=size) for size in sizes)
    return {tuple(ordered[i]["id"] for i in one.chosen) for one in found}


@cases.case("chain A~B~C with A not near C, tau=0.9 on cosine; a rejected item must not reject others")  # fmt: skip # noqa: E501
def test_chain(row: Any, curate: Any) -> None:
    found, stage = curate("pick", row, "--budget", 9, "--set", "threshold=0.9")
    assert found["picked"] == ["A", "C"] == ids(stage / "picked.jsonl")
    assert in_blocks(row, 0.9) == {("A", "C")}


@cases.case("duplicates whose original sits in an earlier block and inside the local row window")
def test_blocks_and_windows(row: Any, curate: Any) -> None:
    found, _ = curate("pick", row, "--budget", 9)
    assert found["picked"] == [0, 1, 2, 3]
    assert in_blocks(row, 0.945) == {(0, 1, 2, 3)}


@cases.case("paper text says 'distance < 0.945' but the number is a cosine similarity")
def test_cosine(row: Any, curate: Any) -> None:
    found, stage = curate("pick", row, "--budget", 9)
    assert found["picked"] == ["x", "far"]
    near = next(one for one in read_records(stage / "decisions.jsonl") if one["id"] == "near")
    assert (near["reason"], near["of"]) == ("near", "x")
    assert near["similarity"] == pytest.approx(0.990268, abs=1e-4)


@cases.case("documents shorter than the n-gram size (n=5 words) all get the same empty signature")
def test_short_documents(row: Any, curate: Any) -> None:
    found, stage = curate("dedup", row)
    assert ids(stage / "kept.jsonl") == [1, 2, 4]
    assert [(one["id"], one["of"]) for one in found["dropped"]] == [(3, 1)]


@cases.case("empty instruction and/or response")
def test_empty_sides(row: Any, curate: Any) -> None:
    found, stage = curate("dedup", row)
    assert ids(stage / "kept.jsonl") == [3]
    assert [(one["id"], one["reason"]) for one in found["dropped"]] == [
        (i, "empty") for i in (1, 2, 4)
    ]
    found, stage = curate("leakage", row)
    assert ids(stage / "clean.jsonl") == [3]
    assert (found["flagged"], found["num_empty"], found["untestable"]) == ([], 3, ["t1"])
    assert found["tli"] is None and found["tli_by_benchmark"] == {}  # of no items


@cases.case("template phrase shared by many instructions (every row covers half or more of the prompt's 5-grams)")  # fmt: skip # noqa: E501
def test_template(row: Any, curate: Any, tmp_path: Path) -> None:
    found, stage = curate("leakage", row)
    assert found["flagged"] == [] and len(ids(stage / "clean.jsonl")) == 4
    assert found["check"]["outcome"] == "pass"
    settings = LeakageSettings(pool=str(tmp_path / "pool.jsonl"), run=False)
    items = load_benchmark(str(tmp_path / "items.jsonl"))
    scan = scan_pool(items, settings, launcher=launchers.parse("serial"))
    plain = next(one for one in scan.shares if one.view.name == "characters").plain(0)
    assert float(plain.min()) >= 0.5
    for settled in (found["threshold"], found["fpr"]):
        assert settled is None  # four rows define no threshold, and none is invented


@cases.case("leak sits only in the response")
def test_leak_in_the_response(row: Any, curate: Any) -> None:
    found, _ = curate("leakage", row, status=1)
    assert flagged(found) == ["resp"]
    one = found["flagged"][0]
    assert (one["benchmark_id"], one["behaviour"]) == ("b3", "passed")
    assert {"code", "behaviour"} <= set(one["views"]) and one["verdict"] == "leak"
    assert {span["message"] for span in one["evidence"] if span["view"] == "code"} == {1}


@cases.case("solution translated to JavaScript")
def test_translation(row: Any, curate: Any) -> None:
    found, _ = curate("leakage", row, status=1)
    assert flagged(found) == ["js"]
    one = found["flagged"][0]
    assert "translation" in one["views"] and one["behaviour"] == RunState.NOT_EXECUTABLE
    scored, stage = curate("score", row, "--scorer", "length")
    assert scored["states"] == {"not_executable": 1}
    assert next(iter(read_records(stage / "scored.jsonl")))["quality"] is None


@cases.case("unicode normalisation and non-Latin scripts")
def test_unicode(row: Any, curate: Any) -> None:
    found, stage = curate("dedup", row)
    assert ids(stage / "kept.jsonl") == ["nfc", "zh1", "zh2"]
    assert [(one["id"], one["of"]) for one in found["dropped"]] == [("nfd", "nfc")]


@cases.case("one-token documents and a one-token benchmark item")
def test_one_token(row: Any, curate: Any) -> None:
    _, stage = curate("dedup", row)
    assert ids(stage / "kept.jsonl") == [1, 3, 4]
    found, _ = curate("leakage", row)
    assert (found["flagged"], found["untestable"]) == ([], ["o1"])
    assert found["tli"] is None  # of no items


@cases.case("conversation rows: leak in a later turn; summed turn scores")
def test_conversations(row: Any, curate: Any) -> None:
    found, _ = curate("leakage", row, status=1)
    assert flagged(found) == ["chat"]
    evidence = found["flagged"][0]["evidence"]
    longest = max(evidence, key=lambda span: span["end"] - span["start"])
    assert longest["message"] == 2
    some = {**row, "rows": [one for one in row["rows"] if "turn_scores" in one]}
    for turns, first in (("sum", "long"), ("mean", "one"), ("max", "one")):
        picked, _ = curate("pick", some, "--budget", 1, "--set", f"turns={turns}",
                           "--set", "threshold=1")  # fmt: skip
        assert (picked["picked"], picked["aggregate"]) == ([first], turns)


@cases.case("same item re-wrapped, with CRLF and a byte order mark, and buried in a long document")
def test_wrapped(row: Any, curate: Any) -> None:
    found, stage = curate("leakage", row, status=1)
    assert sorted(flagged(found)) == ["buried", "crlf", "plain", "wrap"]
    assert ids(stage / "clean.jsonl") == []
    for one in found["flagged"]:
        assert one["shares"]["characters"] >= 0.95 and one["verdict"] == "leak"


@cases.case("behavioural evidence: common knowledge, rewritten solution, mutant, early exit, endless loop")  # fmt: skip # noqa: E501
def test_behaviour(row: Any, curate: Any) -> None:
    found, stage = curate("leakage", row, "--set", "wall_s=1", status=1)
    assert [(r["id"], r["benchmark_id"], r["behaviour"]) for r in found["flagged"]] == [
        ("rewritten", "odd", "passed")
    ]
    assert found["flagged"][0]["function"] == "puzzle"
    assert [(r["id"], r["benchmark_id"]) for r in found["common_knowledge"]] == [("common", "gcd")]
    assert set(ids(stage / "clean.jsonl")) == {"common", "mutant", "exit0", "loop"}
