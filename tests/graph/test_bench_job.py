"""`graph bench` as a run: numbers, page, resuming."""

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.graphs import planted_graph

from burnish.base.errors import SettingError
from burnish.base.items import ItemLog
from burnish.graph import bench_job
from burnish.graph.bench_job import bench_graph
from burnish.graph.settings import (
    BenchSettings,
    FeedbackSettings,
    GraphSettings,
    ProblemSettings,
    PromptSettings,
    RetrieverSettings,
)
from burnish.graph.tables import write_graph


@pytest.fixture
def settings(tmp_path: Path, tiny_folder) -> BenchSettings:
    write_graph(planted_graph(40, text=True, edges=True), tmp_path / "graph", {})
    base = GraphSettings(
        graph=str(tmp_path / "graph"), model=str(tiny_folder()), precision="fp32",
        problem=ProblemSettings(labelled_frac=0.3, queries=5),
        retriever=RetrieverSettings(hidden=11, width=7, feature_width=13, epochs=3),
        feedback=FeedbackSettings(tokens=3000, candidates=3, nearest=4, folds=2),
        prompt=PromptSettings(examples=2),
    )  # fmt: skip
    arms = ("gnn", "ours", "oracle")
    return BenchSettings(base=base, arms=arms, seeds=(0, 1), oracle=3)


def numbers(result):
    keys = ("accuracy", "attribution", "conclusion", "measure")
    return {key: result[key] for key in keys}


def test_resumed_equals_straight(settings, tmp_path, monkeypatch):
    wanted = bench_graph(settings, runs=tmp_path / "a")
    assert {"ours", "vote", "gnn-classifier"} <= set(wanted["accuracy"])
    assert set(wanted["attribution"]["feedback"]["by_seed"]) == {"0", "1"}
    for path in (tmp_path / "graph" / "readings").glob("*"):
        path.unlink()
    left, real = [25], ItemLog.keep

    def keep(self, row):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        real(self, row)

    monkeypatch.setattr(ItemLog, "keep", keep)
    with pytest.raises(KeyboardInterrupt):
        bench_graph(settings, runs=tmp_path / "b")
    resumed = bench_graph(settings, runs=tmp_path / "b")
    assert numbers(resumed) == numbers(wanted)
    page = (Path(resumed["run"]) / "report" / "index.html").read_text()
    assert "Attribution" in page and "copies labels" in page
    assert bench_job.read_rows(
        [Path(resumed["run"]) / "stages" / f"seed-{seed}" / "rows.jsonl" for seed in (0, 1)]
    )


def test_a_changed_graph_is_refused(settings, tmp_path):
    """A run is neither mixed of two graphs nor begun anew."""
    settings = replace(settings, arms=("random",), seeds=(0,))
    wanted = bench_graph(settings, folder=tmp_path / "run")
    nodes = tmp_path / "graph" / "nodes.csv"
    old = nodes.read_text()
    nodes.write_text(old.replace("antword", "otherword"))
    with pytest.raises(SettingError, match=r"'seed-0' has begun with other graph"):
        bench_graph(settings, folder=tmp_path / "run")
    nodes.write_text(old)
    assert numbers(bench_graph(settings, folder=tmp_path / "run")) == numbers(wanted)


def test_generation_sentences():
    row = {"second": "bm25", "value": 0.1, "low": 0.05, "high": 0.2}
    sentence, good = bench_job.generation_sentence({"over_bm25": row})
    assert good is True and "+0.100 nats per token" in sentence
    assert bench_job.generation_sentence({}) == ("References were scored.", None)
    assert bench_job.generation_sentence({"over_random": {**row, "low": -1.0}})[1] is None
