"""The plan: one dial, rules with their sources, files, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from burnish.arch import plan as plans
from burnish.arch.configs import shape_config
from burnish.arch.plan import (
    Shape,
    budget_tokens,
    choose_context,
    choose_run,
    choose_shape,
    choose_vocab,
    planned_settings,
    read_plan,
)
from burnish.arch.settings import PretrainSettings, parse_count
from burnish.base.errors import InputError, SettingError
from burnish.base.files import write_json
from burnish.contracts.training_plan import TrainingPlan
from burnish.models.config import DecoderConfig
from burnish.models.count import CONVENTIONS, count


def settings(**given: Any) -> PretrainSettings:
    return PretrainSettings(corpus="stdlib", **given)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3M", 3e6), ("500k", 5e5), ("1.5B", 1.5e9), ("77", 77), (12, 12), ("1e6", 1e6)],
)
def test_counts(text: Any, value: float) -> None:
    assert parse_count("params", text) == value
    with pytest.raises(SettingError, match="a number such as 3M"):
        parse_count("params", "3 apples")


def counted(shape: Shape) -> int:
    config = DecoderConfig(
        family="llama", vocab_size=shape.vocab, d_model=shape.width, d_ff=shape.ffn_width,
        num_layers=shape.num_layers, num_heads=shape.num_heads, num_kv_heads=shape.num_kv_heads,
        head_dim=shape.head_dim, max_position=64, norm_eps=1e-5, tied=shape.tied,
    )  # fmt: skip
    return count(config).num_params


@pytest.mark.parametrize("tied", [True, False])
def test_params_are_those_of_the_counter(tied: bool) -> None:
    shape = Shape(
        num_layers=3, width=28, ffn_width=37, num_heads=2, num_kv_heads=1, vocab=101, tied=tied
    )
    assert shape.num_params == counted(shape)


@pytest.mark.parametrize("params", ["100k", "1M", "3M", "25M", "124M", "1B"])
def test_the_dial_hits_the_parameters(params: str) -> None:
    given = settings(params=params)
    vocab = choose_vocab(given)
    shape = choose_shape(given, vocab)
    wanted = parse_count("params", params)
    assert counted(shape) == pytest.approx(wanted, rel=0.02)
    assert 0.5 < shape.width / (64 * shape.num_layers) < 2.1
    assert 0.1 < vocab * shape.width / wanted < 0.35


def test_depth() -> None:
    shape = choose_shape(settings(depth=6), 4096)
    assert (shape.num_layers, shape.width, shape.num_heads, shape.ffn_width) == (6, 384, 6, 1024)
    given = settings(depth=5, width=96, num_heads=6, num_kv_heads=3, ffn_width=200)
    shape = choose_shape(given, 999)
    assert (shape.num_layers, shape.width, shape.head_dim, shape.ffn_width) == (5, 96, 16, 200)
    with pytest.raises(SettingError, match="must divide"):
        choose_shape(settings(depth=2, width=50, num_heads=4), 300)
    with pytest.raises(SettingError, match="must leave parameters for layers"):
        choose_shape(settings(params="5k"), 1000)


def check_step_law() -> None:
    """0.58 D^0.571 and 1.79 N^-0.713 D^0.307 of arXiv 2503.04715, for N = 1e9 and D = 1e11."""
    shape = Shape(num_layers=20, width=2048, ffn_width=5632, num_heads=16, num_kv_heads=16, vocab=9)
    assert shape.num_block_params == pytest.approx(1.03e9, rel=0.01)
    chosen = choose_run(settings(), shape, num_tokens=1e11, context=2048)
    assert chosen.values["batch_tokens"] == pytest.approx(1.11e6, rel=0.01)
    assert chosen.values["batch_tokens"] % 2048 == 0
    assert chosen.values["learning_rate"] == pytest.approx(1.62e-3, rel=0.02)
    assert chosen.values["steps"] == int(1e11 // chosen.values["batch_tokens"])
    assert "2503.04715" in chosen.sources["learning_rate"]


def test_step_law_by_hand() -> None:
    check_step_law()


def test_planted_tokens_for_parameters(monkeypatch: Any) -> None:
    monkeypatch.setattr(Shape, "num_block_params", property(lambda self: 2 * 10**9))
    with pytest.raises(AssertionError):
        check_step_law()


def test_given_wins_over_file_and_rule() -> None:
    shape = Shape(num_layers=2, width=64, ffn_width=128, num_heads=2, num_kv_heads=2, vocab=300)
    planned = {"lr": 0.002, "batch_tokens": 130.0, "d": 6400.0}
    given = settings(planned=planned, learning_rate=0.005)
    tokens, source = budget_tokens(given, shape)
    assert (tokens, source) == (6400.0, plans.FILE)
    chosen = choose_run(given, shape, num_tokens=6400, context=32)
    assert chosen.values == {
        "batch_tokens": 128,
        "learning_rate": 0.005,
        "steps": 50,
        "tokens": 6400,
    }
    assert chosen.sources["learning_rate"] == "given"
    assert chosen.sources["batch_tokens"] == "plan file"
    assert budget_tokens(settings(tokens="5k"), shape) == (5000.0, "given")
    assert budget_tokens(settings(minutes=3), shape)[0] is None
    assert budget_tokens(settings(), shape)[0] == 20 * shape.num_params
    with pytest.raises(SettingError, match="one step of 128 tokens"):
        choose_run(given, shape, num_tokens=100, context=32)


def test_plan_files(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"n": 3e6, "d": 60_000_000, "lr": 0.003, "family": "dense"}))
    assert read_plan(path) == {"n": 3e6, "d": 6e7, "lr": 0.003}
    given = settings(planned=read_plan(path))
    assert choose_shape(given, choose_vocab(given)).num_params == pytest.approx(3e6, rel=0.02)
    for text, says in [
        ('{"x": 1}', "must contain one of"),
        ('{"lr": "high"}', "positive number as lr"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            read_plan(path)


def plan_of(**changes: Any) -> TrainingPlan:
    given: dict[str, Any] = {
        "name": "p", "law": "chinchilla", "counts": "non-embedding", "n": 2e5, "n_total": 2e5,
        "d_tokens": 4e6, "batch_tokens": 4096.0, "num_steps": 976, "lr": 0.004,
        "train_flops": 4.8e12, "loss": 3.5, "loss_low": 3.4, "loss_high": 3.6,
    }  # fmt: skip
    return TrainingPlan(**{**given, **changes})


def check_convention(counts: str, experts: int = 1, top_k: int = 1) -> None:
    """The shape of a plan has the wanted size by the convention, as the counter's own sees it."""
    block = f"moe:experts={experts},top_k={top_k}" if experts > 1 else "dense"
    given = settings(planned={"n": 3e6}, planned_counts=counts, context=256, block=block)
    shape = choose_shape(given, choose_vocab(given))
    assert shape.block == block
    assert shape.counted(counts, context=256).n_active == pytest.approx(3e6, rel=0.03)
    used = shape.ffn_width * top_k // experts
    products = shape.num_layers * shape.width * (4 * shape.width + 3 * used)
    assert shape.counted("kaplan", context=256).n_active == products


@pytest.mark.parametrize("counts", CONVENTIONS)
def test_the_dial_hits_every_convention(counts: str) -> None:
    check_convention(counts)


def test_experts_share_the_width_of_the_dense_layer() -> None:
    check_convention("non-embedding", 8, 2)
    shape = Shape(
        num_layers=3, width=28, ffn_width=120, num_heads=2, num_kv_heads=1, vocab=101,
        block="moe:experts=5,top_k=2",
    )  # fmt: skip
    counted = count(shape_config(shape))
    assert shape.counted("all", context=0).n_active == counted.num_active_params
    assert shape.counted("all", context=0).n_total == counted.num_params == shape.num_params


def test_planted_plan_that_counts_all_parameters(monkeypatch: Any) -> None:
    monkeypatch.setattr(plans, "_size", lambda settings, shape: shape.num_params)
    with pytest.raises(AssertionError):
        check_convention("non-embedding")


def test_files_of_scaling_plan(tmp_path: Path) -> None:
    """Size, tokens, batch, rate, steps, experts; options and --set win over the file."""
    write_json(tmp_path / "plan.json", plan_of(experts=8, top_k=2, n_total=6e5))
    for path in (tmp_path, tmp_path / "plan.json"):
        given = planned_settings(settings(vocab=512, context=128), path)
        shape = choose_shape(given, 512)
        assert shape.block == "moe:experts=8,top_k=2"
        counted = shape.counted("non-embedding", context=128)
        assert counted.n_active == pytest.approx(2e5, rel=0.03)
        tokens, source = budget_tokens(given, shape)
        chosen = choose_run(given, shape, num_tokens=tokens or 0, context=128)
        assert (tokens, source) == (4e6, plans.FILE)
        assert chosen.values == {
            "batch_tokens": 4096, "learning_rate": 0.004, "steps": 976, "tokens": 976 * 4096,
        }  # fmt: skip
    given = planned_settings(settings(tokens="1M", params="500k"), tmp_path)
    shape = choose_shape(given, 512)
    assert shape.num_params == pytest.approx(5e5, rel=0.03)
    chosen = choose_run(given, shape, num_tokens=1e6, context=128)
    assert chosen.values["steps"] == 1e6 // 4096 and chosen.sources["steps"] != plans.FILE
    with pytest.raises(SettingError, match="block must equal the plan's"):
        planned_settings(settings(block="moe:experts=4,top_k=2"), tmp_path)
    (tmp_path / "plan.json").write_text('{"schema": "burnish.training-plan/9", "n": 5}')
    with pytest.raises((InputError, SettingError)):
        planned_settings(settings(), tmp_path)


def test_a_corpus_smaller_than_the_context() -> None:
    with pytest.raises(InputError, match=r"64 tokens and one token more, got '30 .*context=16"):
        choose_context(settings(context=64), num_tokens=30, smallest_part=30)
    assert choose_context(settings(), num_tokens=30, smallest_part=30) == 16
    assert choose_context(settings(), num_tokens=9999, smallest_part=9999) == 512
    assert choose_context(settings(context=29), num_tokens=30, smallest_part=30) == 29


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"params": "3M", "depth": 4}, "one of --params, --depth and --from"),
        ({"minutes": 3, "tokens": "1M"}, "must be only one of minutes and tokens"),
        ({"minutes": 0}, "minutes must be positive"),
        ({"depth": 0}, "depth must be positive"),
        ({"heldout_frac": 1.0}, r"must lie in \(0, 1\)"),
        ({"base": "x", "vocab": 999}, "named by --from"),
    ],
)
def test_refused_settings(given: Any, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        settings(**given)
