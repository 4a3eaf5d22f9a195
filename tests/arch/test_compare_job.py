"""Blocks beside each other: what is equal reads as equal, and curves are read where they meet."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.pretraining import make_corpus

from burnish.arch import compare_job as module
from burnish.arch import compare_page
from burnish.arch.compare_job import compare
from burnish.arch.compare_page import common_readings
from burnish.arch.compare_settings import CompareSettings
from burnish.base.errors import SettingError
from burnish.jobs.job import Place

SMALL: dict[str, Any] = {"params": "20k", "tokens": "700", "vocab": 281, "context": 16}
SMALL |= {"batch_tokens": 64, "learning_rate": 3e-3, "precision": "fp32", "device": "cpu"}
SMALL |= {"num_points": 3, "num_seeds": 2, "rates": (0.5, 1.0), "heldout_tokens": 200}


def run(folder: Path, blocks: str, **changes: Any) -> dict[str, Any]:
    settings = CompareSettings(corpus=str(make_corpus(folder)), blocks=blocks, **SMALL | changes)
    return compare(settings, Place(folder=folder / "run"))


def test_a_block_beside_itself(tmp_path: Path) -> None:
    """`dense:times=1` is `dense` under another name: no difference, not even in the last bit."""
    result = run(tmp_path, "dense,dense:times=1,pcformer:order=2")
    readings = {(r["equal"], r["block"]): r for r in result["readings"]}
    assert len(readings) == 9
    for equal in ("parameters", "FLOPs"):
        same = readings[equal, "dense:times=1"]["difference"]
        assert same["value"] == same["low"] == same["high"] == 0
        other = readings[equal, "pcformer:order=2"]
        assert other["difference"]["value"] != 0
        assert other["loss"]["low"] <= other["loss"]["value"] <= other["loss"]["high"]
    arms = {arm["block"]: arm for arm in result["arms"]}
    assert arms["pcformer:order=2"]["num_params"] == arms["dense"]["num_params"] + 1
    ratio = [arms[b]["train_flops_per_token"] for b in ("pcformer:order=2", "dense")]
    assert 2 < ratio[0] / ratio[1] < 3
    at = readings["FLOPs", "pcformer:order=2"]
    assert at["tokens"] == pytest.approx(readings["FLOPs", "dense"]["tokens"] * ratio[1] / ratio[0])
    assert all(len(row["loss_by_seed"]) == 2 for row in result["readings"])
    assert set(arms["dense"]["losses_by_rate"]) == {"0.5", "1.0"}
    assert "at equal FLOPs" in json.dumps(result["page"])
    again = compare(
        CompareSettings(corpus=str(tmp_path / "texts.txt"),
                        blocks="dense,dense:times=1,pcformer:order=2", **SMALL),
        Place(folder=tmp_path / "run"),
    )  # fmt: skip
    assert again["readings"] == result["readings"]


def arm(block: str, flops: float, speed: float, losses: list[float]) -> dict[str, Any]:
    points = [{"tokens": 100.0 * n, "nats": [2 * x, 2 * x]} for n, x in enumerate(losses)]
    one = {"points": points, "num_targets": [2, 2], "tokens_per_s": speed}
    worse = copy.deepcopy(one)
    for point in worse["points"]:
        point["nats"] = [x + 2 for x in point["nats"]]  # a seed that loses a nat a token
    common = {"block": block, "train_flops_per_token": flops, "num_params": 7}
    return common | {"runs": [one, worse]}


def check_by_hand() -> None:
    """Twice the FLOPs and half the speed: read where the first has had half its tokens."""
    readings = common_readings([arm("a", 10, 50, [5, 4, 3]), arm("b", 20, 25, [5, 3.5, 2])], seed=1)
    found = {(r["equal"], r["block"]): (r["tokens"], r["loss"]["value"]) for r in readings}
    assert found == {
        ("parameters", "a"): (200, 3.5),
        ("parameters", "b"): (200, 2.5),
        ("FLOPs", "a"): (200, 3.5),
        ("FLOPs", "b"): (100, 4.0),
        ("seconds", "a"): (200, 3.5),
        ("seconds", "b"): (100, 4.0),
    }
    lost = next(r for r in readings if r["equal"] == "FLOPs" and r["block"] == "b")
    assert lost["difference"]["value"] == pytest.approx(0.5)
    assert lost["loss_by_seed"] == [3.5, 4.5]


def test_readings_by_hand() -> None:
    check_by_hand()


def test_planted_reading_at_the_end_of_each(monkeypatch: Any) -> None:
    """Everybody's last point, whatever it cost."""
    exact = compare_page._read
    monkeypatch.setattr(
        compare_page, "_read", lambda run, tokens: exact(run, run["points"][-1]["tokens"])
    )
    with pytest.raises(AssertionError):
        check_by_hand()


def test_blocks_are_parted() -> None:
    given = {"corpus": "x", "tokens": "1"}
    spec = "dense,moe:experts=4,top_k=1,pcformer:order=2,corrector=mix"
    found = CompareSettings(blocks=spec, **given).specs
    assert found == ("dense", "moe:experts=4,top_k=1", "pcformer:order=2,corrector=mix")
    for wrong in ({"blocks": "dense"}, {"blocks": "dense,dense"}, {"rates": ()}, {"num_seeds": 0},
                  {"minutes": 1.0}, {"blocks": "dense,pcformer:order=9"}):  # fmt: skip
        with pytest.raises(SettingError):
            CompareSettings(**{"blocks": "dense,moe:experts=2", **given, **wrong})


def test_one_size_for_all_blocks() -> None:
    given: dict[str, Any] = {"corpus": "x", "tokens": "1"}
    assert CompareSettings(**given).run_settings("dense").params == "1M"
    widths = {"depth": 4, "width": 66, "ffn_width": 130, "num_heads": 3}
    sized = CompareSettings(**given, **widths).run_settings("pcformer:order=2")
    assert sized.params is None and {n: getattr(sized, n) for n in widths} == widths
    with pytest.raises(SettingError):
        CompareSettings(**given, params="1M", depth=4)


def test_a_rate_without_an_end_is_left_out(tmp_path: Path, monkeypatch: Any) -> None:
    exact = module._train_cell

    def failing(cell: Any, place: Any, **given: Any) -> Any:
        if cell["rate"] == 1.0:
            raise module.IncompleteError("loss", "nan", "must stay finite", remedy="Lower it")
        return exact(cell, place, **given)

    monkeypatch.setattr(module, "_train_cell", failing)
    result = run(tmp_path, "dense,moe:experts=2,top_k=1", num_seeds=1)
    assert all(set(arm["losses_by_rate"]) == {"0.5"} for arm in result["arms"])
