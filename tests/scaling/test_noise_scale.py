"""Noise scale: planted gradients, and what must not be done."""

import dataclasses

import numpy as np
import pytest
from fixtures.pretraining import make_corpus, tiny_settings

from burnish.arch.pretrain_job import pretrain
from burnish.base.errors import InputError
from burnish.base.records import read_records
from burnish.scaling.noise_scale import (
    TwoBatch,
    estimate_noise,
    noise_by_part,
    noise_scale,
    pairs_from_rows,
    read_norms,
)  # fmt: skip


def planted_pairs(rng, *, gradient_sq=2.0, trace=48.0, small=4, big=64, steps=300, width=200):
    """Mean gradients of small and big batches; the big one holds the small one's examples."""
    g = np.full(width, np.sqrt(gradient_sq / width))
    sd = np.sqrt(trace / width)
    found = []
    for _ in range(steps):
        first = g + sd * rng.standard_normal(width) / np.sqrt(small)
        rest = g + sd * rng.standard_normal(width) / np.sqrt(big - small)
        whole = (small * first + (big - small) * rest) / big
        found.append(TwoBatch(small=small, big=big, small_sq_norm=float(first @ first),
                              big_sq_norm=float(whole @ whole)))  # fmt: skip
    return found


def check_planted(estimate):
    hits = 0
    for seed in range(40):
        found = estimate(planted_pairs(np.random.default_rng(seed), steps=60))
        hits += found["low"] <= 24 <= found["high"]
    assert hits >= 34
    found = estimate(planted_pairs(np.random.default_rng(99)))
    assert found["noise_scale"] == pytest.approx(24, rel=0.1) and found["state"] == "resolved"


def test_planted_noise_is_covered():
    check_planted(estimate_noise)


def test_planted_norm_of_the_big_batch_taken_for_the_gradient():
    def biased(pairs):
        return noise_scale([p.noise for p in pairs], [p.big_sq_norm for p in pairs])

    with pytest.raises(AssertionError):
        check_planted(biased)


def test_averages_come_first():
    found = noise_scale([40, 60], [1, 4])
    assert found["noise_scale"] == 20


def test_negative_estimates_are_not_clamped():
    pair = TwoBatch(small=8, big=64, small_sq_norm=1.2, big_sq_norm=1.25)
    assert (pair.gradient, pair.noise) == pytest.approx((1.2571, -0.4571), abs=1e-4)
    found = estimate_noise([pair])
    assert found["trace"] == pair.noise and found["noise_scale"] is None
    assert found["state"] == "not resolved, more steps" and found["low"] is None


def test_rows_are_paired_by_step(tmp_path):
    path = tmp_path / "norms.csv"
    path.write_text("step,batch,sq_norm\n1,8,3\n1,8,5\n1,64,2\n2,8,4\n2,64,1\n3,8,4\n")
    pairs = pairs_from_rows(read_norms(path, ""))
    assert [(p.small_sq_norm, p.big_sq_norm) for p in pairs] == [(4, 2), (4, 1)]
    path.write_text("step,batch,sq_norm\n1,8,3\n2,8,4\n")
    with pytest.raises(InputError, match="two batch sizes"):
        pairs_from_rows(read_norms(path, ""))
    path.write_text("step,batch,norm\n1,8,nan\n")
    with pytest.raises(InputError, match="must be a number"):
        read_norms(path, "sq_norm=norm")


def test_blocks_are_units():
    pairs = planted_pairs(np.random.default_rng(3), steps=100)
    blocked = estimate_noise(pairs, block=10)
    assert blocked["num_units"] == 10 and blocked["num_steps"] == 100
    assert blocked["noise_scale"] == pytest.approx(estimate_noise(pairs)["noise_scale"], rel=1e-9)


def rows_of(pairs):
    return [
        row
        for step, pair in enumerate(pairs)
        for row in (
            {
                "step": step,
                "batch": pair.small,
                "sq_norm": pair.small_sq_norm,
                "loss": 5 - step / 99,
            },
            {"step": step, "batch": pair.big, "sq_norm": pair.big_sq_norm, "loss": 5 - step / 99},
        )
    ]


def test_parts_follow_a_trend():
    """The gradient shrinks in the second half: the noise scale of its parts is nine times that."""
    rng = np.random.default_rng(4)
    pairs = planted_pairs(rng, gradient_sq=9.0, steps=200)
    pairs += planted_pairs(rng, gradient_sq=1.0, steps=200)
    parts = noise_by_part(rows_of(pairs))
    assert [(p["first_step"], p["last_step"]) for p in parts] == [
        (0, 99), (100, 199), (200, 299), (300, 399)]  # fmt: skip
    truth = (48 / 9, 48 / 9, 48, 48)
    assert [p["noise_scale"] for p in parts] == pytest.approx(truth, rel=0.25)
    assert all(p["low"] < p["noise_scale"] < p["high"] for p in parts)
    assert [p["loss"] for p in parts] == sorted((p["loss"] for p in parts), reverse=True)
    assert noise_by_part(rows_of(pairs[:20])) == []


def test_noise_of_a_real_run(burnish, tmp_path, monkeypatch):
    """A run notes its norms; killed or not, the command tells what they say."""
    packed = {"xz_bits_per_byte": 3.0, "xz_stream_bits_per_byte": 2.0}
    monkeypatch.setattr("burnish.arch.measure.xz_bits", lambda texts: packed)  # a second
    settings = dataclasses.replace(
        tiny_settings(make_corpus(tmp_path)), steps=32, gradient_norms=True, num_evaluations=1
    )
    run = pretrain(settings, folder=tmp_path / "run")["run"]
    rows = list(read_records(tmp_path / "run" / "stages" / "train" / "norms.jsonl"))
    steps = list(read_records(tmp_path / "run" / "stages" / "train" / "steps.jsonl"))
    sizes = [(row["num_terms"] / 2, row["num_terms"]) for row in steps]
    assert [row["batch"] for row in rows] == [size for pair in sizes for size in pair]
    whole = [row["sq_norm"] for row in rows[1::2]]
    assert whole == pytest.approx([row["grad_norm"] ** 2 for row in steps], rel=1e-5)
    done = burnish("scaling", "noise", run, "--json")
    wanted = estimate_noise(pairs_from_rows(rows))
    assert done.json == wanted | {"parts": noise_by_part(rows)} and len(done.json["parts"]) == 4
    assert done.status == (0 if wanted["state"] == "resolved" else 1)
    with (tmp_path / "run" / "stages" / "train" / "norms.jsonl").open("a") as file:
        file.write('{"step": 31, "batch": 64, "sq_norm": 7.0, "loss": 1.0}\n')  # told again
    again = pairs_from_rows(read_norms(tmp_path / "run", ""))
    assert len(again) == 32 and again[-1].big_sq_norm == 7.0
    with pytest.raises(InputError, match="has no gradient norms"):
        read_norms(tmp_path, "")
