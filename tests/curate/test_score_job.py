"""The run of score: rows go out with what was measured."""

import pytest
from fixtures.curating import ordinary, row
from fixtures.executing import Here

from burnish.base.errors import BurnishError
from burnish.base.records import read_records, write_records
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


def test_wrong_scorers(pool, tmp_path, tiny_folder):
    for name in ("gone.npz", str(tmp_path / "pool.jsonl")):
        with pytest.raises(BurnishError):
            scored(pool, tmp_path, scorer=name, model=str(tiny_folder()))
    assert not (tmp_path / "run").exists()
