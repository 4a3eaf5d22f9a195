"""`burnish scaling` as a user types it: precedence, run folders, lists."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

Burnish = Callable[..., Any]

JOBS = {  # the command: what is called, and the setting that is looked at, by its option
    "fit": ("burnish.scaling.fit_job.fit_scaling", "fit.law", "--law"),
    "plan": ("burnish.scaling.plan_job.plan_scaling", "fit", "--fit"),
    "ladder": ("burnish.recipes.laddering.climb_ladder", "fit.law", "--law"),
}


@pytest.mark.parametrize("name", JOBS)
def test_precedence(
    name: str, burnish: Burnish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option over --set over --config over the defaults; --run and --runs are the job's."""
    target, setting, option = JOBS[name]
    seen: list[Any] = []

    def job(settings: Any, **given: Any) -> None:
        seen.append((settings, given))
        raise typer.Exit(0)

    monkeypatch.setattr(target, job)
    tree: Any = "of config"
    for key in reversed(setting.split(".")):
        tree = {key: tree}
    config = tmp_path / "c.json"
    config.write_text(json.dumps(tree))
    words: list[Any] = [
        "scaling",
        name,
        *{"fit": ["x.csv"], "plan": ["--flops", 1e20]}.get(name, []),
    ]
    for more in ([], ["--config", config], ["--set", f"{setting}=of set"], [option, "of flag"]):
        words += more
        assert burnish(*words).status == 0
    found = []
    for settings, _ in seen:
        for key in setting.split("."):
            settings = getattr(settings, key)
        found.append(settings)
    assert found[1:] == ["of config", "of set", "of flag"] and found[0] in ("chinchilla", "")
    assert burnish(*words, "--run", "new", "--runs", tmp_path).status == 0
    given = seen[-1][1]
    assert (given["fresh"], given["folder"], given["runs"]) == (True, None, tmp_path)
    assert burnish(*words, "--run", tmp_path / "own").status == 0
    assert (seen[-1][1]["fresh"], seen[-1][1]["folder"]) == (False, tmp_path / "own")


def test_a_plan_goes_where_out_says(burnish: Burnish, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    words = ("scaling", "plan", "--flops", 1e20, "--run", tmp_path / "run", "--out", out)
    done = burnish(*words, "--json")
    assert done.status == 0 and done.json["plan_file"] == str(out)
    assert out.read_text() == (tmp_path / "run" / "plan.json").read_text()
    shown = burnish(*words)
    assert f"arch pretrain --corpus TEXTS --plan {out}" in shown.out
    gone = burnish("scaling", "plan", "--run", tmp_path / "other")
    assert gone.status == 2 and "--flops" in gone.err


def test_lists_of_a_ladder(burnish: Burnish, tmp_path: Path) -> None:
    for words in (("--sizes", "1e5,big"), ("--experts", "0"), ("--experts", "1.5")):
        done = burnish("scaling", "ladder", *words, "--runs", tmp_path)
        assert done.status == 2 and "Traceback" not in done.err, words
