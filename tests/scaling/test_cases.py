"""Files and settings that people bring: every row of ../shared/cases with part `scaling`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.cases import Cases
from fixtures.planted_laws import grid_columns

from burnish.base.files import read_json
from burnish.base.log import RecordLog
from burnish.scaling.isoflop import grid_bias, isoflop
from burnish.scaling.noise_scale import noise_scale
from burnish.scaling.runs import Runs
from burnish.train.hooks import GradientNorms, Gradients, PassGradient
from burnish.train.steps import Batch
from burnish.train.trainer import _square_norm

cases = Cases("to-build.jsonl", part="scaling")
LAW = {"A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37, "sigma": 1.8}
NAMES = ("A", "B", "sigma", "alpha", "beta")


def test_every_row_has_a_test() -> None:
    cases.check_names()


@pytest.fixture
def fit(burnish, tmp_path):
    """Fit the table of a row by the command; `text` in its place."""

    def run(row: Any, *words: Any, text: str = "") -> Any:
        given = row["input"]
        path = tmp_path / "runs.csv"
        path.write_text(text or (given if isinstance(given, str) else given["csv"]), "utf-8")
        done = burnish("scaling", "fit", path, "--resamples", 4, "--runs", tmp_path,
                       "--json", *words)  # fmt: skip
        assert "Traceback" not in done.err
        return done

    return run


def refused(done: Any, *says: str) -> None:
    assert done.status == 2 and not done.out, done.out
    for text in says:
        assert text in done.err, (text, done.err)


@cases.case("byte order mark, semicolons")
def test_semicolons_are_read(row: Any, fit: Any) -> None:
    refused(fit(row), "6 runs")
    found = fit(row, "--law", "compute").json
    assert found["num_runs"] == 6 and found["range"]["n"] == [1e6, 3.2e7]


@cases.case("decimal comma", num_rows=2)
def test_decimal_commas(row: Any, fit: Any) -> None:
    refused(fit(row), ":2 column loss must use the decimal point", "data.decimal=,")
    text = row["input"] if isinstance(row["input"], str) else row["input"]["csv"]
    plain = text.replace(",", ".")
    again = fit(row, "--set", "data.decimal=,")
    assert again.err == fit(row, text=plain).err and "needs at least 6 runs" in again.err


@cases.case("one size only", num_rows=2)
def test_one_size(row: Any, fit: Any, burnish: Any, tmp_path: Path) -> None:
    says = "does not identify alpha, A, sigma: n takes one value only"
    refused(fit(row), says, "--law data")
    if isinstance(row["input"], str):
        return
    text = row["input"]["csv"] + "1e8,1e10,2.9610\n"  # a fifth run: the fit has three parameters
    found = fit(row, "--law", "data", text=text).json
    assert found["params"]["sigma"] == pytest.approx(2.5622, abs=2e-3)  # E + A N^-alpha
    done = burnish("scaling", "plan", "--fit", found["run"], "--flops", 1e19, "--runs", tmp_path)
    refused(done, "must depend on n and d")


@cases.case("N and D in constant ratio")
def test_constant_ratio(row: Any, fit: Any) -> None:
    refused(fit(row), "does not identify alpha, beta", "--law compute")
    assert fit(row, "--law", "compute").json["identified"] is True


@cases.case("column names as people write them")
def test_column_names(row: Any, fit: Any) -> None:
    refused(fit(row), "--columns n=Params,d=Tokens,loss='Final Loss'")


@cases.case("tokens in billions")
def test_tokens_in_billions(row: Any, fit: Any) -> None:
    refused(fit(row), "d / n is 2.0e-08: d looks like another unit")


@cases.case("nan and failed runs")
def test_failed_runs(row: Any, fit: Any) -> None:
    refused(fit(row), "line 3 left out: loss is nan", "line 4 left out: loss is inf",
            "needs at least 6 runs for its 5 parameters, got 2")  # fmt: skip


@cases.case("duplicate runs with other seeds")
def test_seeds(row: Any, fit: Any) -> None:
    halves = np.log([3.94 / 3.90, 3.63 / 3.60]) ** 2 / 2
    refused(fit(row), "4 runs", "2 configurations have several losses",
            f"varies by {np.sqrt(halves.mean()):.2g} between them")  # fmt: skip
    more = row["input"] + "4e6,8e7,3.41\n4e6,8e7,3.37\n8e6,1.6e8,3.2\n8e6,1.6e8,3.22\n"
    found = fit(row, "--law", "compute", text=more).json
    assert found["num_runs"] == 8 and found["seed_noise"]["num_configurations"] == 4


@cases.case("planted law, 12 runs")
def test_planted_law(row: Any, fit: Any) -> None:
    found = fit(row).json
    for name, within in (("alpha", 1e-3), ("beta", 1e-3), ("sigma", 5e-3)):
        assert found["params"][name] == pytest.approx(LAW[name], abs=within)
    assert found["rmse_log_loss"] < 1e-6


@cases.case("BOM, semicolons, scientific notation")
def test_marks_and_notation(row: Any, fit: Any, table: Path) -> None:
    found, plain = fit(row).json, fit(row, text=table.read_text()).json
    assert found["params"] == plain["params"]
    kept = read_json(Path(found["run"]) / "stages" / "read" / "runs.json")
    assert kept["given"] == ["n", "d", "loss"]


@cases.case("duplicate rows")
def test_duplicate_rows(row: Any, fit: Any, table: Path) -> None:
    done, plain = fit(row), fit(row, text=table.read_text())
    assert "5 exact duplicates merged" in done.err
    for name in ("params", "intervals", "num_runs"):
        assert done.json[name] == plain.json[name]


@cases.case("loss below the irreducible one")
def test_loss_below_the_irreducible(row: Any, fit: Any) -> None:
    refused(fit(row, "--set", f"fit.sigma={row['input']['sigma']}"),
            "sigma must be below every loss, but lines 3, 4 are not")  # fmt: skip


@cases.case("diverged and missing losses")
def test_missing_losses(row: Any, fit: Any) -> None:
    whys = ((2, "nan"), (3, "inf"), (4, "empty"))
    lost = [f"line {line} left out: loss is {why}" for line, why in whys]
    refused(fit(row), *lost, "needs at least 6 runs for its 5 parameters, got 1")


@cases.case("checkpoints of one cosine run posed as runs")
def test_checkpoints(row: Any, fit: Any) -> None:
    refused(fit(row), *(f"line {n} left out: an intermediate checkpoint" for n in (2, 3)), "got 1")


@cases.case("D from compute")
def test_tokens_from_compute(row: Any, fit: Any) -> None:
    refused(fit(row), "d = c / (6 n): 2e+10 tokens")
    own = "N,C,loss,flops_per_token\n1e8,1.2e19,2.9,8e8\n"
    refused(fit(row, text=own), "d = c / flops_per_token: 1.5e+10 tokens")


def runs_of(n: np.ndarray, c: np.ndarray, loss: np.ndarray) -> Runs:
    columns = {"n": n, "c": c, "d": c / (6 * n), "loss": loss}
    lines = list(range(2, 2 + len(n)))
    return Runs(columns=columns, given=list(columns), lines=lines, counts="non-embedding")


@cases.case("IsoFLOP vertex outside the grid")
def test_outside_vertex(row: Any) -> None:
    """The vertex of the first budget is left out; with those of two others there is a law."""
    logs, losses = (np.array(row["input"][name]) for name in ("log10N", "loss"))
    valley = [3.1, 3.0, 3.15]
    n = 10 ** np.concatenate([logs, logs, logs + 0.5])
    c = np.repeat([1e18, 1e19, 1e20], 3)
    found: Any = isoflop(runs_of(n, c, np.array([*losses, *valley, *valley])), None)
    assert len(found["vertices"]) == 2 and len(found["rejected"]) == 1
    assert found["rejected"][0]["c"] == pytest.approx(1e18)
    assert "Add larger models" in found["rejected"][0]["why"]
    assert found["exponent"] == pytest.approx(0.5)
    alone: Any = isoflop(runs_of(n[:6], c[:6], np.array([*losses, *valley])), None)
    assert len(alone["rejected"]) == 1 and alone["exponent"] is None


def along(budget: float, law: list[float]) -> Any:
    """Losses of a law by log N at one budget."""
    a, b, sigma, alpha, beta = law

    def losses(log_n: np.ndarray) -> np.ndarray:
        n = np.exp(log_n)
        return sigma + a * n**-alpha + b * (budget / 6 / n) ** -beta

    return losses


@cases.case("bias of the parabola method has a sign")
def test_bias_has_a_sign(row: Any) -> None:
    for law, wanted in zip(row["input"]["laws"], (-0.71, 1.43), strict=True):
        a, b, _, alpha, beta = law
        runs, biases = [], []
        for budget in (1e19, 1e20, 1e21):
            best = (np.log(alpha * a / (beta * b)) + beta * np.log(budget / 6)) / (alpha + beta)
            grid, losses = best + np.log(np.geomspace(0.25, 4, 9)), along(budget, law)
            biases.append(100 * np.expm1(grid_bias(losses, grid, best)))
            runs.append((np.exp(grid), np.full(9, budget), losses(grid)))
        assert biases == pytest.approx([wanted] * 3, abs=6e-3)
        columns = (np.concatenate(part) for part in zip(*runs, strict=True))
        told: Any = isoflop(runs_of(*columns), dict(zip(NAMES, law, strict=True)))
        assert [100 * np.expm1(v["bias"]) for v in told["vertices"]] == pytest.approx(biases)
        assert told["exponent"] == pytest.approx(beta / (alpha + beta), abs=1e-9)


@pytest.fixture
def count(burnish, tmp_path):
    """What `scaling count` prints for a configuration."""

    def run(config: Any, *words: Any) -> Any:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        told = burnish("scaling", "count", path, "--json", *words).json["models"]
        return told[str(path)]

    return run


@cases.case("MoE FLOPs use active experts")
def test_active_experts(row: Any, count: Any) -> None:
    for vocab in (0, 50000):  # the embedding and the head do not count
        found = count(row["input"] | {"vocab": vocab})["non-embedding"]
        assert (found["n_active"], found["n_total"]) == (131072, 425984)
        assert found["flops_per_token"] == 983040
        assert "non-embedding" in row["expected"] or "6 N" in found["meaning"]


@cases.case("parameter convention changes the answer")
def test_conventions(row: Any, count: Any, table: Path, burnish: Any, tmp_path: Path) -> None:
    config = {name: row["input"][name] for name in ("hidden", "layers", "vocab")}
    found = count(config)
    gap = found["all"]["n_active"] - found["non-embedding"]["n_active"]
    assert gap == pytest.approx(3.2e6, rel=1e-3)
    assert gap / found["all"]["n_active"] > 0.95
    runs = ("--runs", tmp_path)
    fit = burnish("scaling", "fit", table, "--resamples", 5, *runs, "--json",
                  "--set", "data.counts=all")  # fmt: skip
    assert fit.json["counts"] == "all"
    plan = ("scaling", "plan", "--fit", fit.json["run"], "--flops", 1e19, *runs, "--json")
    assert burnish(*plan, "--set", "counts=all").json["counts"] == "all"
    refused(burnish(*plan, "--set", "counts=non-embedding"), "the convention of the fit, 'all'")


@cases.case("refit of a published batch/lr law")
def test_published_rule(row: Any, fit: Any) -> None:
    """The row's grid as a table, with losses of a law: what the command tells of its rules."""
    n, d = (x.reshape(-1) for x in np.meshgrid([1e8, 3e8, 1e9], [2e9, 1e10, 5e10]))
    lr = 1.79 * n**-0.713 * d**0.307
    loss = 1.8 + 400 * n**-0.34 + 2000 * d**-0.37
    rows = zip(n, d, loss, lr, strict=True)
    text = "n,d,loss,lr\n" + "".join(f"{a!r},{b!r},{c!r},{e!r}\n" for a, b, c, e in
                                     [tuple(map(float, values)) for values in rows])  # fmt: skip
    found = fit(row, text=text).json["rules"]
    rule = found["lr in n and d"]
    assert rule["exponents"] == pytest.approx({"n": -0.713, "d": 0.307}, abs=1e-9)
    assert rule["factor"] == pytest.approx(1.79, rel=1e-8) and found["log_base"] == "e"
    assert found["rows"] == "all 9 rows (no size and data has 3 runs)"


@cases.case("negative noise estimate")
def test_negative_noise(row: Any, burnish: Any, tmp_path: Path) -> None:
    """The row's step has no interval; a second one like it has one, and stays unresolved."""
    pairs = list(zip(row["input"]["B"], row["input"]["mean_sq_grad_norm"], strict=True))
    path = tmp_path / "norms.csv"
    for more in ([], [1.22, 1.24]):
        steps = [pairs, *([list(zip(row["input"]["B"], more, strict=True))] if more else [])]
        rows = [f"{i},{b},{norm}\n" for i, step in enumerate(steps) for b, norm in step]
        path.write_text("step,batch,sq_norm\n" + "".join(rows))
        done = burnish("scaling", "noise", path, "--json")
        assert done.status == 1 and done.json["state"] == "not resolved, more steps"
        assert done.json["noise_scale"] is None and done.json["trace"] < 0
        if not more:
            assert done.json["gradient_sq"] == pytest.approx(1.2571, abs=1e-4)
            assert done.json["trace"] == pytest.approx(-0.4571, abs=1e-4)
            assert done.json["low"] is None
        else:
            assert done.json["low"] < done.json["trace"] / done.json["gradient_sq"] < 0


@cases.case("average before dividing")
def test_averages_first(row: Any, burnish: Any, tmp_path: Path) -> None:
    """Norms whose steps have the row's S and |G|^2, through the command."""
    assert noise_scale(row["input"]["S"], row["input"]["G2"])["noise_scale"] == 20
    lines = ["step,batch,sq_norm"]
    for step, (s, g) in enumerate(zip(row["input"]["S"], row["input"]["G2"], strict=True)):
        lines += [f"{step},{b},{g + s / b!r}" for b in (4, 16)]
    path = tmp_path / "norms.csv"
    path.write_text("\n".join(lines))
    assert burnish("scaling", "noise", path, "--json").json["noise_scale"] == pytest.approx(20)


@cases.case("noise scale of tiny gradients")
def test_tiny_gradients(row: Any, burnish: Any, tmp_path: Path) -> None:
    """Passes of four terms, whose norms the trainer takes and its hook notes, through the command.

    In single precision every square norm is zero.
    """
    scale, g2, s = (row["input"][name] for name in ("scale_gradients_by", "G2", "S"))
    rng, width, steps = np.random.default_rng(0), 64, 1500
    each = np.sqrt(g2 / width) + np.sqrt(s / width) * rng.standard_normal((steps, 2, 4, width))
    terms = torch.tensor(scale * each / 8, dtype=getattr(torch, row["input"]["dtype"]))
    assert float(terms.sum(dim=(1, 2)).square().sum()) == 0
    with RecordLog(tmp_path / "norms.jsonl") as log:
        hook = GradientNorms(log)
        for step, pair in enumerate(terms.sum(dim=2)):
            norms = [float(_square_norm([g])) for g in pair]
            passes = [PassGradient(num_terms=4, square_norm=norm) for norm in norms]
            whole = float(_square_norm([pair.sum(dim=0)]))
            hook.gradients(Gradients(passes=passes, num_terms=8, square_norm=whole))
            hook.step({"step": step, "loss": 1.0}, Batch(passes=[]))
    found = burnish("scaling", "noise", tmp_path / "norms.jsonl", "--json").json
    assert found["noise_scale"] == pytest.approx(24, rel=0.1) and found["state"] == "resolved"
    assert found["low"] < 24 < found["high"]


@cases.case("plan far beyond the data")
def test_far_plan(row: Any, fit: Any, burnish: Any, tmp_path: Path) -> None:
    columns = grid_columns(tokens=(2e8, 1e9, row["input"]["largest_C_in_csv"] / (6 * 3e8)))
    n, d = columns["n"], columns["d"]
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(len(n)))
    loss = (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * noise
    text = "n,d,loss\n" + "".join(
        f"{float(a)!r},{float(b)!r},{float(c)!r}\n" for a, b, c in zip(n, d, loss, strict=True)
    )
    fitted = fit(row, text=text).json
    plan = ("scaling", "plan", "--fit", fitted["run"], "--flops", row["input"]["plan_C"],
            "--runs", tmp_path, "--json")  # fmt: skip
    done = burnish(*plan)
    refused(done, "1e+04 times the largest run (1e+19)", "--extrapolate 10000", "[",
            f"held-out error {100 * fitted['holdout_error']:.2g}%")  # fmt: skip
    found = burnish(*plan, "--extrapolate", 10000).json
    low, high = found["intervals"]["loss"]
    assert low < found["loss"] < high and found["factor"] == pytest.approx(1e4)
