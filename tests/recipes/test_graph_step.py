"""`graph` in the job: it picks training tasks, and a model that copies gains by the edges."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.graphs import planted_graph

from burnish.base.errors import SettingError
from burnish.base.files import read_json
from burnish.base.records import read_records
from burnish.contracts.generation import Completion
from burnish.data.sources import load_tasks
from burnish.graph.tables import write_graph
from burnish.recipes import answering
from burnish.recipes.ablating import variants
from burnish.recipes.improve import files_key, improve
from burnish.recipes.planning import Calibration, make_plan
from burnish.recipes.settings import GraphStageSettings
from burnish.recipes.steps import graph as graph_step
from burnish.recipes.steps.graph import Graph
from burnish.recipes.verify import verify_run

MACHINE = Calibration(flops_per_s=1e9, bytes_per_s=1e8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    """Nodes whose edges join equal labels, and whose texts are noise."""
    place = tmp_path_factory.mktemp("graph") / "nodes"
    write_graph(planted_graph(100, text=False, edges=True), place, {"nodes": 100})
    return place


@pytest.fixture
def on(settings: Any, folder: Path) -> Any:
    """Settings of a job on that graph."""
    return replace(settings, tasks=(f"graph:{folder}",), steps=("tasks", "graph"))


@pytest.fixture(autouse=True)
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that writes the answer of the example that stands last in its prompt."""

    def generate(model: Any, requests: Any, *, meter: Any = None, on_done: Any = None, **_: Any):
        found = []
        for request in requests:
            text = model.tokenizer.decode(list(request.prompt))
            said = re.findall(r"Answer: (\w+)", text)
            tokens = tuple(model.tokenizer(said[-1], add_special_tokens=False)["input_ids"])
            found.append(Completion(id=request.id, tokens=tokens, text=said[-1], finish="eos",
                                    num_passes=len(tokens)))  # fmt: skip
            if meter is not None:
                meter.add("generated", len(tokens))
                meter.add("prefilled", len(request.prompt))
            on_done(found[-1])
        return found

    monkeypatch.setattr(answering, "generate", generate)


def check_added(settings: Any, runs: Path) -> dict[str, Any]:
    result = improve(settings, runs=runs)
    told = result["graph"]
    assert told["added"]["low"] > 0 and told["graph"]["accuracy"]["value"] > 0.8
    return result


def test_the_graph_beats_lot_where_edges_tell(on: Any, tmp_path: Path) -> None:
    result = check_added(on, tmp_path)
    (claim,) = result["claims"]
    assert claim["claim"] == "graph: accuracy above examples by lot"
    assert claim["value"] == result["graph"]["added"]["value"] and claim["tokens"] > 0
    (table,) = [b for b in result["page"]["blocks"] if b["title"] == "Examples picked by the graph"]
    assert [row[0] for row in table["rows"]] == ["examples by lot",
                                                 "examples by the graph (neighbours)"]  # fmt: skip
    assert all(row[3] > 24 and row[4] > 0 for row in table["rows"])


def test_the_graph_picks_training_tasks(on: Any, tmp_path: Path) -> None:
    run = Path(improve(on, runs=tmp_path)["run"])
    stage = run / "stages" / "tasks"
    train, heldout = ({row["id"] for row in read_records(stage / f"{name}.jsonl")}
                      for name in ("train", "heldout"))  # fmt: skip
    picked = read_json(run / "stages" / "graph-examples" / "examples.json")
    for rows in picked.values():
        assert rows.keys() == heldout
        assert all(len(set(own)) == 4 and set(own) <= train for own in rows.values())
    assert picked["graph"] != picked["random"]
    checks = verify_run(run)["checks"]
    assert {"check": "graph-examples, made again", "outcome": "same", "why": ""} in checks


def test_planted_step_that_ignores_the_graph(
    on: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = graph_step.pick_examples
    monkeypatch.setattr(graph_step, "pick_examples", lambda *given, **how: exact(
        *given, **{**how, "by": "random"}))  # fmt: skip
    with pytest.raises(AssertionError):
        check_added(on, tmp_path)


def test_other_tasks_are_left_alone(settings: Any, tmp_path: Path) -> None:
    part = Graph.configured(settings)
    assert part.planned() == [] and part.reads == () and not list(part.steps({}.__getitem__))
    result = improve(replace(settings, steps=("tasks", "graph")), runs=tmp_path)
    assert "graph" not in result


def test_the_plan_and_the_ablation_know_it(on: Any, settings: Any) -> None:
    off = replace(on, graph=GraphStageSettings(num_examples=0))
    costs = [make_plan(one, 10**6, MACHINE).generated_tokens for one in (on, off)]
    assert costs[0] - costs[1] == 2 * 24 * 16  # both kinds of examples
    assert variants(on)["graph"].graph.num_examples == 0
    assert "graph" not in variants(off) and "graph" not in variants(settings)


def test_classes_are_no_groups(folder: Path) -> None:
    tasks = load_tasks(f"graph:{folder}", seed=0)
    assert len(tasks) == 100 and {task.group for task in tasks} == {"graph"}
    assert tasks[0].prompt.startswith("The category of a text is one of: ant, bee, cow.")
    assert tasks[0].prompt.endswith("\nCategory:")


def test_changed_tables_are_other_tasks(folder: Path, tmp_path: Path) -> None:
    write_graph(planted_graph(20, text=True, edges=True), tmp_path / "g", {})
    spec = (f"graph:{tmp_path / 'g'}",)
    before = files_key(spec)
    assert files_key(spec) == before
    write_graph(planted_graph(20, text=True, edges=True, seed=1), tmp_path / "g", {})
    assert files_key(spec) != before


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(SettingError, match="must be at least 0"):
        GraphStageSettings(num_examples=-1)
