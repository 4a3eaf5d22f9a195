"""The run of score: rows go out with what was measured."""

import numpy as np
import pytest
from fixtures.curating import ordinary, row
from fixtures.executing import Here

from burnish.base.errors import BurnishError, MissingFileError, SettingError
from burnish.base.records import read_records, write_records
from burnish.curate import score_job
from burnish.curate.baselines import answer_sizes
from burnish.curate.pool import PoolReport, read_pool
from burnish.curate.posterior import Rates, posterior
from burnish.curate.score_job import score_pool
from burnish.curate.settings import ScoreSettings
from burnish.curate.train_job import TrainScorerSettings, train_scorer
from burnish.jobs.job import Place

TESTED = "def double(x):\n    return 2 * x\n"
TALK = [
    {"role": r, "content": t}
    for r, t in [
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "Sort it"),
        ("assistant", "sorted(x)"),
    ]
]
ROWS = [row("tested", "Double: double(2) == 4", TESTED), {"id": "talk", "messages": TALK},
        row("empty", "x", "")]  # fmt: skip


@pytest.fixture
def pool(tmp_path):
    write_records(tmp_path / "pool.jsonl", ROWS)
    return str(tmp_path / "pool.jsonl")


def scored(pool, tmp_path, **given):
    settings = ScoreSettings(pool=pool, **given)
    found = score_pool(settings, Here(), Place(folder=tmp_path / "run"))
    return found, read_records(tmp_path / "run" / "stages" / "score" / "scored.jsonl")


def test_rows_go_out_with_their_scores(pool, tmp_path, tiny_folder):
    write_records(tmp_path / "seeds.jsonl", ordinary(20))
    seeds = (str(tmp_path / "seeds.jsonl"),)
    trained = train_scorer(
        TrainScorerSettings(model=str(tiny_folder()), pools=seeds, num_seeds=12),
        Place(folder=tmp_path / "trained"),
    )
    found, rows = scored(pool, tmp_path, scorer=trained["scorer"], model=str(tiny_folder()))
    tested, talk, empty = rows
    assert tested["instruction"] == ROWS[0]["instruction"]
    assert 0 <= tested["complexity"] <= 5 and len(talk["turn_scores"]) == 2
    assert talk["complexity"] == pytest.approx(sum(talk["turn_scores"]), abs=1e-4)
    assert empty["complexity"] is None
    assert (tested["quality_state"], tested["tests_passed"], tested["tests_total"]) == (
        "executable", 1, 1
    )  # fmt: skip
    assert talk["quality"] is None and talk["quality_state"] == "not_executable"
    assert found["states"] == {"executable": 1, "not_executable": 1, "empty": 1}


def test_lengths_and_turns(pool, tmp_path, tiny_folder):
    model = str(tiny_folder())
    _, rows = scored(pool, tmp_path, scorer="length", quality=False, model=model)
    assert [r["complexity"] for r in rows] == [22, 13, None]
    assert {r["quality_state"] for r in rows} == {"off", "empty"}
    (tmp_path / "answers").mkdir()
    _, rows = scored(pool, tmp_path / "answers", scorer="answer", quality=False, model=model)
    wanted = answer_sizes(list(read_pool(pool, PoolReport()))).tolist()
    assert [r["complexity"] for r in rows] == [*wanted[:2], None] and wanted[0] > 2


def test_wrong_scorers(pool, tmp_path, tiny_folder):
    for name in ("gone.npz", str(tmp_path / "pool.jsonl")):
        with pytest.raises(BurnishError):
            scored(pool, tmp_path, scorer=name, model=str(tiny_folder()))
    assert not (tmp_path / "run").exists()
    with pytest.raises(MissingFileError, match=r"got 'answr'\. Write bundled, bundled-sizes"):
        scored(pool, tmp_path, scorer="answr", model=str(tiny_folder()))


def test_a_changed_pool_is_refused(pool, tmp_path):
    """Finished blocks are neither mixed with those of another pool nor dropped."""
    given = {"scorer": "length", "quality": False}
    _, wanted = scored(pool, tmp_path, **given)
    write_records(tmp_path / "pool.jsonl", ROWS[:2])
    with pytest.raises(SettingError, match="'score' has begun with other pool"):
        scored(pool, tmp_path, **given)
    write_records(tmp_path / "pool.jsonl", ROWS)
    assert scored(pool, tmp_path, **given)[1] == wanted


def test_interrupted_scores_resume(tmp_path, tiny_folder, monkeypatch):
    """A pool is scored block by block; what a killed run finished is not scored again."""
    write_records(tmp_path / "pool.jsonl", [row(i, f"Do {'x' * i}", "y") for i in range(23)])
    monkeypatch.setattr(score_job, "BLOCK_ROWS", 5)
    given = {"scorer": "length", "model": str(tiny_folder()), "quality": False}
    settings = ScoreSettings(pool=str(tmp_path / "pool.jsonl"), **given)
    straight = score_pool(settings, None, Place(folder=tmp_path / "straight"))
    original, blocks = score_job.turn_scores, []

    def failing(samples, *given):
        blocks.append(samples[0].id)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return original(samples, *given)

    monkeypatch.setattr(score_job, "turn_scores", failing)
    with pytest.raises(KeyboardInterrupt):
        score_pool(settings, None, Place(folder=tmp_path / "run"))
    stage = tmp_path / "run" / "stages" / "score"
    assert len(list(stage.glob("part-*.jsonl"))) == 2 and not (stage / "scored.jsonl").exists()
    resumed = score_pool(settings, None, Place(folder=tmp_path / "run"))
    assert blocks == [0, 5, 10, 10, 15, 20]
    assert not list(stage.glob("part-*"))
    rows = read_records(stage / "scored.jsonl")
    assert [r["id"] for r in rows] == list(range(23))
    assert [r["complexity"] for r in rows] == [3 + i for i in range(23)]
    assert resumed["complexity"] == straight["complexity"]
    same = tmp_path / "straight" / "stages" / "score" / "scored.jsonl"
    assert (stage / "scored.jsonl").read_bytes() == same.read_bytes()


def test_rates_are_estimated_from_the_pool(pool, tmp_path, tiny_folder, monkeypatch):
    """Every row's posterior follows from the rates that the result names."""
    monkeypatch.setattr(score_job, "LEAST_ROWS", 4)
    good = "def double(x):\n    return 2 * x\n"
    asked = "double(1) == 2, double(2) == 4 and\ndouble(3) == 6"
    rows = [row(i, asked, good if i % 2 else good.replace("2 *", "3 +")) for i in range(8)]
    write_records(tmp_path / "pool.jsonl", rows)
    given = {"scorer": "length", "model": str(tiny_folder())}
    found, rows = scored(pool, tmp_path, rates="estimated", **given)
    assert found["rates"]["how"] == "estimated"
    values = found["rates"]["values"]
    assert values["accuracy"] > 0.9 and values["prior"] == pytest.approx(0.5, abs=0.1)
    for one in rows:
        counts = [np.array([one[name]]) for name in ("tests_passed", "tests_total")]
        assert one["quality"] == pytest.approx(float(posterior(*counts, Rates(**values))[0]))
    monkeypatch.setattr(score_job, "LEAST_ROWS", 9)
    settings = ScoreSettings(pool=pool, rates="estimated", seed=1, **given)
    few = score_pool(settings, Here(), Place(folder=tmp_path / "few"))
    assert few["rates"]["how"] == "default"


def test_answers_that_agree(tmp_path, pool, tiny_folder):
    """Without a written result: only other answers say what is right."""
    right = "def double(x):\n    return 2 * x\n"
    asked = "Double x, for example double(7) == 0"  # a wrong example: its input counts alone
    answers = [right, "def twice(v):\n    return v + v\n", right.replace("2 *", "3 *")]
    rows = [row(i, asked, answer) for i, answer in enumerate(answers)]
    rows += [row("alone", "Another task: f(1) == 1", right), row("prose", asked, "It doubles.")]
    write_records(tmp_path / "pool.jsonl", rows)
    given = {"scorer": "length", "model": str(tiny_folder())}
    found, rows = scored(pool, tmp_path, tests="agreement", **given)
    states = ["executable"] * 3 + ["no_tests", "not_executable"]
    assert [r["quality_state"] for r in rows] == states
    assert [(r["tests_passed"], r["tests_total"]) for r in rows[:3]] == [(1, 1), (1, 1), (0, 1)]
    assert found["quality"]["n"] == 3
    assert rows[0]["quality"] > 0.5 > rows[2]["quality"]


@pytest.mark.parametrize("tests", ["example", "model:", ""])
def test_wrong_sources_of_tests(tests):
    with pytest.raises(SettingError, match="examples, agreement or model:NAME"):
        ScoreSettings(pool="x", tests=tests)
