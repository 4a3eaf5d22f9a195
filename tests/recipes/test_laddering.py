"""A ladder whose cells are really trained."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.pretraining import make_corpus

from burnish.base.errors import BurnishError, SettingError
from burnish.base.files import read_json
from burnish.recipes import laddering as module
from burnish.recipes.laddering import climb_ladder
from burnish.recipes.verify import verify_run
from burnish.scaling.ladder_cells import LadderSettings
from burnish.scaling.settings import FitSettings

SMALL = LadderSettings(
    sizes=(8e3, 16e3), ratios=(0.02, 0.04), experts=(4,), vocab=281, context=16,
    fit=FitSettings(law="compute", resamples=5),
    train=("evaluation_tokens=32", "device=cpu", "batch_tokens=64", "learning_rate=0.003"),
)  # fmt: skip


def check_ladder(corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stopped in its third cell, and repeated: every cell once, then the fit."""
    names: list[str] = []
    exact = module.pretrain

    def counted(settings: Any, **given: Any) -> Any:
        names.append(given["folder"].parent.name)
        if len(names) == 3:
            raise KeyboardInterrupt
        return exact(settings, **given)

    monkeypatch.setattr(module, "pretrain", counted)
    packed = {"xz_bits_per_byte": 3.0, "xz_stream_bits_per_byte": 2.0}  # half a second a cell
    monkeypatch.setattr("burnish.arch.measure.xz_bits", lambda texts: packed)
    settings = LadderSettings(**{**vars(SMALL), "corpus": str(corpus)})
    with pytest.raises(KeyboardInterrupt):
        climb_ladder(settings, folder=folder)
    result = climb_ladder(settings, folder=folder)
    assert len(names) == len(set(names)) + 1 == 4 + 1 + 1
    return result


def own_documents(run: Path) -> Path:
    return run / "stages" / "evaluate" / "documents.json"


def test_a_ladder_is_trained_and_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = check_ladder(make_corpus(tmp_path), tmp_path / "run", monkeypatch)
    rows, held_out, shards = result["trained"], [], list[int]()
    assert [row["name"][:4] for row in rows] == ["cell"] * 4 + ["held"]
    for row, cell in zip(rows, result["cells"], strict=True):
        run = tmp_path / "run" / "stages" / "training" / row["name"] / "run"
        own = read_json(run / "result.json")
        assert row["loss"] == own["validation"]["value"]
        assert own["plan"]["shape"]["block"].startswith("moe:experts=4,")
        assert row["e"] == cell["experts"] == 4
        assert row["n"] == pytest.approx(cell["n"], rel=0.1)
        shards.append(next((run / "stages" / "shards").rglob("*.bin")).stat().st_ino)
        held_out.append([one["id"] for one in read_json(own_documents(run))])
    assert all(one == held_out[0] for one in held_out)
    assert len(set(shards)) == 1  # the text is tokenized once
    said = result["prediction"]
    assert said["num_held_out"] >= 1 and said["actual"] == pytest.approx(rows[-1]["loss"], rel=0.05)
    assert {"law", "params", "next", "total_flops"} <= result.keys()
    assert verify_run(tmp_path / "run")["same"]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(BurnishError, match="none"):
        climb_ladder(LadderSettings(corpus=str(tmp_path / "none.txt")), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    settings = LadderSettings(corpus="stdlib", train=("vocab=300",))
    with pytest.raises(SettingError, match="leave to the ladder"):
        climb_ladder(settings, folder=tmp_path / "run")
    with pytest.raises(SettingError, match="optimizr"):
        climb_ladder(LadderSettings(corpus="stdlib", train=("optimizr=muon",)))
