"""The job of `scaling plan`, and the command."""

from pathlib import Path

import pytest

from burnish.base.files import read_json
from burnish.contracts.training_plan import read_plan
from burnish.scaling.plan_job import plan_scaling
from burnish.scaling.settings import PlanSettings

KEYS = {"n", "d", "batch_tokens", "lr", "loss", "intervals", "law", "num_steps"}


def test_the_plan_is_a_file(tmp_path):
    result = plan_scaling(PlanSettings(flops=1e20), folder=tmp_path / "a")
    plan = read_plan(result["run"])
    assert (plan.n, plan.d_tokens, plan.loss) == (result["n"], result["d"], result["loss"])
    blocks = {
        b["block"]: b for b in read_json(Path(result["run"]) / "result.json")["page"]["blocks"]
    }
    slider = blocks["slider"]
    assert float(slider["rows"][slider["start"]][0]) == pytest.approx(1e20)
    html = (Path(result["run"]) / "report" / "index.html").read_text()
    assert "data-slider" in html


def test_the_commands(table, burnish, tmp_path):
    runs = ("--runs", tmp_path)
    fit = burnish("scaling", "fit", table, "--resamples", 20, *runs, "--json").json
    words = ("scaling", "plan", "--fit", fit["run"], *runs)
    done = burnish(*words, "--flops", 2e19, "--json")
    assert done.status == 0 and done.json.keys() >= KEYS
    low, high = done.json["intervals"]["n"]
    assert low <= done.json["n"] * (1 + 1e-9) and high >= done.json["n"] * (1 - 1e-9)
    done = burnish(*words, "--flops", 9e22)
    assert done.status == 2 and "--extrapolate 10000" in done.err
    done = burnish("scaling", "plan", "--flops", 1e19, "--experts", 8, "--set", "top_k=2", *runs)
    assert done.status == 0 and "MoE minus dense" in done.out
    done = burnish("scaling", "plan", "--flops", 1e19, "--set", "memory_bytes=100", *runs)
    assert done.status == 3
    assert burnish("scaling", "plan", "--flops", -1).status == 2


def test_counts_and_noise(burnish, tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"hidden": 64, "ffn": 128, "layers": 2, "experts": 8, "top_k": 2}')
    done = burnish("scaling", "count", config, "--seq", 128, "--json")
    found = done.json["models"][str(config)]["non-embedding"]
    assert (found["n_active"], found["flops_per_token"]) == (131072, 983040)
    other = tmp_path / "other.json"
    other.write_text('{"hidden": 128, "ffn": 256, "layers": 4, "vocab": 5000}')
    done = burnish("scaling", "count", config, other, "--allocation", 0.5, "--json")
    assert set(done.json["allocation"]) >= {"kaplan", "all"}
    assert "kaplan" in burnish("scaling", "count", config).out
    norms = tmp_path / "norms.csv"
    norms.write_text("batch,mean_sq_grad_norm\n8,1.2\n64,1.25\n")
    done = burnish("scaling", "noise", norms, "--columns", "sq_norm=mean_sq_grad_norm", "--json")
    assert done.status == 1 and done.json["state"] == "not resolved, more steps"
    assert done.json["gradient_sq"] == pytest.approx(1.2571, abs=1e-4)
    assert burnish("scaling", "noise", norms).status == 2
