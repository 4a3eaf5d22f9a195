"""`tour`: one number of each discipline, out of a run of its own, that changes with the seed."""

import ast
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.touring import small_tour

from burnish.base.canonical import content_hash
from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.records import read_json, read_records
from burnish.base.rng import stream
from burnish.recipes.answering import read_answers
from burnish.recipes.tour import material, stops
from burnish.recipes.tour import recall as recall_stop
from burnish.recipes.tour_settings import STOPS, TourSettings
from burnish.recipes.touring import take_tour


def of_points(result: dict[str, Any]) -> dict[str, float]:
    return max(result["points"], key=lambda point: point["length"])["copy"]


def of_readings(result: dict[str, Any]) -> dict[str, float]:
    (row,) = (r for r in result["readings"]
              if r["equal"] == "FLOPs" and r["block"].startswith("pcformer"))  # fmt: skip
    return row["difference"]


def of_fit(result: dict[str, Any]) -> dict[str, float]:
    low, high = result["intervals"]["alpha"]
    return {"value": result["params"]["alpha"], "low": low, "high": high}


# where each number stands in the result of the discipline's own run
PLACES: dict[str, Callable[[dict[str, Any]], dict[str, float]]] = {
    "prefer": lambda r: r["margins"]["accuracy"],
    "draft": lambda r: r["drafters"]["ngram"]["speedup"],
    "recall": of_points,
    "arch": of_readings,
    "scaling": of_fit,
    "critique": lambda r: r["frontier"][-1]["difference"],
    "stream": lambda r: r["policies"]["blocks:size=16"]["evidence_recall"],
    "graph": lambda r: r["attribution"]["over_bm25"],
}


@pytest.fixture(scope="module")
def finished_tour(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Any) -> dict[str, Any]:
    """The result of a small tour."""
    place = tmp_path_factory.mktemp("tour")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURNISH_CACHE", str(place / "cache"))
        return take_tour(small_tour(tiny_folder()), runs=place / "runs")


def check_numbers(result: dict[str, Any]) -> None:
    """Each number is that of the run that its stage holds."""
    run = Path(result["run"])
    told = {row["discipline"]: row for row in result["disciplines"]}
    for name in told.keys() & PLACES.keys():
        expected = PLACES[name](read_json(run / "stages" / name / "run" / "result.json"))
        got = [told[name][end] for end in ("value", "low", "high")]
        assert got == [expected[end] for end in ("value", "low", "high")], name


def test_each_stop_tells_the_number_of_its_run(finished_tour: dict[str, Any]) -> None:
    assert [row["discipline"] for row in finished_tour["disciplines"]] == list(STOPS)
    assert sorted(STOPS) == stops.names()
    check_numbers(finished_tour)
    run = Path(finished_tour["run"])
    answers = read_answers(run / "stages" / "sandbox").values()
    share = sum(one.verdict == "right" for one in answers) / len(answers)
    told = {row["discipline"]: row for row in finished_tour["disciplines"]}
    assert len(answers) == 3 and told["sandbox"]["value"] == share
    flagged = read_json(run / "stages" / "curate" / "run" / "result.json")["flagged"]
    found = sum(str(row["id"]).startswith("planted") for row in flagged)
    assert told["curate"]["value"] == found / 4 and told["curate"]["n"] == 4
    for row in finished_tour["disciplines"]:
        assert row["n"] >= 2 and row["meaning"]
    assert [claim["claim"].partition(":")[0] for claim in finished_tour["claims"]] == list(STOPS)
    assert (run / "report" / "index.html").is_file()
    assert not list(run.rglob("*.safetensors"))


def test_planted_number_that_is_not_measured(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = recall_stop.measure_curve

    def fixed(settings: Any, **place: Any) -> dict[str, Any]:
        result = exact(settings, **place)
        copy = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 2}
        return result | {"points": [point | {"copy": copy} for point in result["points"]]}

    monkeypatch.setattr(recall_stop, "measure_curve", fixed)
    result = take_tour(small_tour(tiny_folder(), stops=("recall",)), runs=tmp_path)
    with pytest.raises(AssertionError, match="recall"):
        check_numbers(result)


def test_an_interrupted_tour_keeps_what_is_finished(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_tour(tiny_folder(), stops=("curate", "recall"))
    straight = take_tour(settings, runs=tmp_path / "straight")

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recall_stop, "measure_curve", stopped)
        with pytest.raises(KeyboardInterrupt):
            take_tour(settings, runs=tmp_path / "runs")
    again = take_tour(settings, runs=tmp_path / "runs")
    lines = (Path(again["run"]) / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [e["stage"] for e in events if e["kind"] == "stage_reused"] == ["curate"]
    assert again["disciplines"] == straight["disciplines"]


# ---- what is drawn ----


def drawn(seed: int) -> dict[str, Any]:
    """All that the jobs work on."""
    nodes = [ast.unparse(node) for node in material.functions(6, seed=seed)]
    return {
        "programs": material.program_rows(5, seed=seed),
        "pairs": material.preference_rows(5, seed=seed),
        "prompts": material.prompt_rows(4, seed=seed),
        "texts": material.text_rows(5000, seed=seed),
        "functions": nodes,
        "graph": material.graph_rows(30, seed=seed),
    }


def test_the_seed_decides_what_is_drawn() -> None:
    first, again, other = drawn(0), drawn(0), drawn(1)
    assert first == again
    assert [name for name in first if first[name] == other[name]] == []


@pytest.mark.parametrize(
    ("rows", "digest"),
    [
        (material.program_rows, "d245e0bf4cb27131"),
        (material.preference_rows, "3ebca75eaf16532a"),
        (material.prompt_rows, "19e501ce71fe3d70"),
        (material.graph_rows, "0bab5a58998d68bc"),
    ],
)
def test_the_material_of_a_seed_stays_the_same(rows: Callable[..., Any], digest: str) -> None:
    """Published runs name their seed; text that others install is not pinned."""
    assert content_hash(rows(40, seed=3))[:16] == digest


def test_the_seed_reaches_every_job(tiny_folder: Any) -> None:
    def all_stops(seed: int) -> dict[str, Any]:
        settings = small_tour(tiny_folder(), seed=seed)
        return {name: stops.get(name).configured(settings) for name in STOPS}

    first, other = all_stops(0), all_stops(1)
    assert [name for name in STOPS if first[name] == other[name]] == []


def test_reference_programs_pass_their_tests() -> None:
    for row in material.program_rows(60, seed=3):
        exec("\n".join([row["code"], *row["test_list"]]), {})


def test_planted_program_that_fails_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(material.TEMPLATES[0], value=lambda x, a: x + a + 1)
    monkeypatch.setattr(material, "TEMPLATES", (wrong,))
    with pytest.raises(AssertionError):
        test_reference_programs_pass_their_tests()


def test_chosen_answers_are_right_and_longer() -> None:
    rows = material.preference_rows(200, seed=2)
    for row in rows:
        a, b = (int(x) for x in row["prompt"].removeprefix("What is ").rstrip("?").split(" + "))
        stated = [int("".join(filter(str.isdigit, row[side].split()[-1])))
                  for side in ("chosen", "rejected")]  # fmt: skip
        assert stated[0] == a + b != stated[1]
    longer = sum(len(row["chosen"]) > len(row["rejected"]) for row in rows)
    assert 0.65 < longer / len(rows) < 0.85


def test_planted_copies_share_no_name() -> None:
    node = ast.parse("def area(width, height):\n    '''Area.'''\n    size = width * height\n"
                     "    return size\n").body[0]  # fmt: skip
    assert isinstance(node, ast.FunctionDef)
    row = material.renamed_row(node, "planted-0", stream(0, "x"))
    code = row["answer"].removeprefix("```python\n").removesuffix("\n```")
    known: dict[str, Any] = {}
    exec(code, known)
    (copy,) = (value for name, value in known.items() if name != "__builtins__")
    assert copy(3, 4) == 12 and copy.__doc__ is None
    assert not {"area", "width", "height", "size"} & {
        one.id if isinstance(one, ast.Name) else getattr(one, "arg", "")
        for one in ast.walk(ast.parse(code))
    }


def test_neighbours_share_a_class() -> None:
    nodes, edges = material.graph_rows(200, seed=1)
    label = {row[0]: row[2] for row in nodes}
    same = sum(label[a] == label[b] for a, b in edges) / len(edges)
    assert 0.8 < same < 1.0


# ---- refusals ----


def test_wrong_stops_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'recall'"):
        TourSettings(stops=("recal",))
    with pytest.raises(SettingError, match="each stop once"):
        TourSettings(stops=("recall", "recall"))
    with pytest.raises(SettingError, match="at least 2"):
        TourSettings(material=replace(TourSettings().material, pairs=1))


def test_a_model_that_is_not_there_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        take_tour(TourSettings(model=str(tmp_path / "gone")), runs=tmp_path / "runs")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", range(40))
def test_prompts_differ(seed: int) -> None:
    prompts = [row["prompt"] for row in material.prompt_rows(12, seed=seed)]
    assert len(set(prompts)) == 12


def test_more_prompts_than_there_are() -> None:
    with pytest.raises(SettingError, match="must not exceed the prompts that differ"):
        material.prompt_rows(20_000, seed=0)


# ---- real weights ----

SHORT = ("recall", "arch", "scaling", "curate", "graph")  # of another seed, where time is limited


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_tour_on_real_weights(tmp_path: Path) -> None:
    """Ten numbers; nearly all differ with another seed, of which CI takes the short stops."""
    again = SHORT if os.environ.get("CI") == "true" else STOPS
    first = take_tour(TourSettings(), runs=tmp_path / "0")
    other = take_tour(TourSettings(seed=1, stops=again), runs=tmp_path / "1")
    values = []
    for result, named in ((first, STOPS), (other, again)):
        rows = result["disciplines"]
        assert [row["discipline"] for row in rows] == list(named)
        assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
        values.append({row["discipline"]: (row["value"], row["low"], row["high"]) for row in rows})
    assert sum(values[0][stop] != values[1][stop] for stop in again) >= len(again) - 2
    told = {row["discipline"]: row for row in first["disciplines"]}
    assert told["recall"]["value"] > 0.8  # SmolLM2 copies from 512 tokens back
    assert told["graph"]["low"] > 0  # half of the nodes can be told by their neighbours only
    pool = list(read_records(Path(first["run"]) / "stages" / "curate" / "pool.jsonl"))
    assert len(pool) == 270 and told["curate"]["value"] > 0.2
