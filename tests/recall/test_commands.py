"""`burnish recall` as a user meets it."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def words(tiny_folder: Any, books: Path, tmp_path: Path) -> list[Any]:
    """A small curve's command line, without the command."""
    short = ["--lengths", "20,30,40,64", "--set", "trials=3", "--set", f"corpus={books}"]
    sets = [w for s in ("precision=fp32", "cue_tokens=4", "least_tokens=20") for w in ("--set", s)]
    return [tiny_folder("llama"), *short, *sets, "--runs", tmp_path / "runs"]


def test_curve_prints_the_promised_object(burnish: Any, words: list[Any]) -> None:
    done = burnish("recall", "curve", *words, "--mode", "probe", "--kv", "full", "--json")
    assert done.status == 0, done.err
    result = done.json
    assert [point["length"] for point in result["points"]] == [20, 30, 40, 64]
    for point in result["points"]:
        assert all(set(point[s]) == {"value", "low", "high", "n"} for s in ("copy", "lm", "gap"))
    assert {"fine_tokens", "coarse_tokens", "state"} <= set(result)
    assert (Path(result["run"]) / "report" / "index.html").is_file()


def test_curve_for_people_then_fit_and_compare(
    burnish: Any, words: list[Any], tmp_path: Path
) -> None:
    done = burnish("recall", "curve", *words, "--kv", "window:budget_tokens=16,num_sinks=2")
    assert done.status == 0, done.err
    assert "next:   burnish recall fit" in done.out
    run = next((tmp_path / "runs").glob("*-recall-curve-*"))
    fitted = burnish("recall", "fit", run, "--json")
    assert fitted.status == 0, fitted.err
    assert {"position_limit", "r2", "cause"} <= set(fitted.json)
    assert "position_limit" in burnish("recall", "fit", run).out
    full = burnish("recall", "curve", *words, "--json")
    (tmp_path / "full.json").write_text(full.out)
    compared = burnish("recall", "compare", run, tmp_path / "full.json", "--json")
    assert compared.status == 0, compared.err
    assert [row["kv"][:6] for row in compared.json["curves"]] == ["window", "full"]
    assert compared.json["curves"][1]["paired"]
    people = burnish("recall", "compare", run, tmp_path / "full.json", "--out", tmp_path / "page")
    assert "Memory lengths" in people.out
    assert (tmp_path / "page" / "index.html").is_file()


def test_compare_measures_models(burnish: Any, words: list[Any], tmp_path: Path) -> None:
    done = burnish("recall", "compare", words[0], words[0], *words[1:], "--json")
    assert done.status == 0, done.err
    assert done.json["curves"][1]["copy_minus_first"]["value"] == 0


def test_a_failed_length_is_a_finding(burnish: Any, words: list[Any], monkeypatch: Any) -> None:
    from burnish.recall.decoder_reader import DecoderReader

    exact = DecoderReader.extend

    def limited(self: Any, tokens: Any) -> None:
        if self._memory.num_tokens + len(tokens) > 50:
            raise MemoryError("full")
        exact(self, tokens)

    monkeypatch.setattr(DecoderReader, "extend", limited)
    done = burnish("recall", "curve", *words, "--json")
    assert done.status == 1
    assert [p["state"] for p in done.json["points"]][-1] == "failed"
    assert done.json["points"][0]["copy"] is not None


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--kv", "windw"], "Did you mean 'window'"),
        (["--set", "corpus=nothing/here.txt"], "does not exist"),
        (["--mode", "both"], "mode must be paper or probe"),
        (["--lengths", "64"], "must contain"),
        (["--set", "margn=0.1"], "Did you mean 'margin'"),
        (["--set", "trials=1"], "must be at least 2"),
    ],
)
def test_wrong_use_is_one_sentence(
    burnish: Any, words: list[Any], more: list[str], says: str
) -> None:
    if more[0] == "--lengths":
        more = ["--lengths", "20,50000"]
    done = burnish("recall", "curve", *words, *more)
    assert (done.status, done.out) == (2, "")
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and says in lines[0]
    assert "Traceback" not in done.err


def test_fit_refuses_what_is_no_curve(burnish: Any, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"a": 1}))
    done = burnish("recall", "fit", tmp_path / "x.json")
    assert done.status == 2
    assert "must be a curve" in done.err
    done = burnish("recall", "fit", tmp_path / "missing.json")
    assert done.status == 2
    assert "does not exist" in done.err
