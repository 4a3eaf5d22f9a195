"""`burnish prefer` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Burnish = Callable[..., Any]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))


def write(path: Path, *extra: dict[str, Any]) -> Path:
    rows = [
        {"prompt": f"say {i}", "chosen": "yes " * (1 + i % 4), "rejected": "no " * (1 + i % 3)}
        for i in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *extra]))
    return path


def test_audit(burnish: Burnish, tiny_folder: Any, tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl")
    words = ("prefer", "audit", pairs, "--model", tiny_folder())
    done = burnish(*words, "--score", 12, "--json")
    keys = ("num_pairs", "chosen_longer_frac", "length_auc", "excess_tokens_frac", "truncated")
    assert done.status == 0
    assert [type(done.json[key]) for key in keys] == [int, float, float, float, int]
    assert done.json["problems"] == []
    assert done.json["margins"]["num_pairs"] == 12
    shown = burnish(*words)
    assert "length_auc" in shown.out and "next: burnish prefer train" in shown.out


def test_audit_names_what_cannot_be_used(
    burnish: Burnish, tiny_folder: Any, tmp_path: Path
) -> None:
    pairs = write(tmp_path / "pairs.jsonl", {"prompt": "x", "chosen": "y", "rejected": ""})
    done = burnish("prefer", "audit", pairs, "--model", tiny_folder())
    assert done.status == 1
    assert "row 13 must not have an empty 'rejected', got ''" in done.out


def test_audit_says_why_no_row_is_of_use(
    burnish: Burnish, tiny_folder: Any, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "a", "win": "b", "lose": "c"}\n')
    done = burnish("prefer", "audit", pairs, "--model", tiny_folder())
    assert done.status == 1 and "row 1 must have the columns 'chosen' and 'rejected'" in done.out
    assert "usable pairs must be at least two" in done.err
    done = burnish("prefer", "audit", pairs, "--model", tiny_folder(), "--json")
    assert done.status == 1 and done.json["num_pairs"] == 0 and done.json["num_problems"] == 1
    assert done.json["problems"][0]["row"] == 1


def test_train_then_curve(burnish: Burnish, tiny_folder: Any, tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl")
    words = ("prefer", "train", tiny_folder(), pairs, "--alpha", 0.25, "--steps", 3,
             "--out", tmp_path / "run", "--set", "evaluate.max_new_tokens=3",
             "--set", "train.learning_rate=0.01", "--set", "pairs.heldout_frac=0.3")  # fmt: skip
    done = burnish(*words, "--json")
    assert done.status == 0, done.err
    assert done.json["loss"]["alpha"] == 0.25
    assert len(done.json["losses"]) == len(done.json["accuracies"]) == 3
    assert done.json["lengths"]["after"]["cap_tokens"] == 3
    again = burnish(*words)
    assert again.status == 0
    assert "next:   burnish prefer curve" in again.out and "report:" in again.out
    model = done.json["model"]
    curve = burnish("prefer", "curve", pairs, "--model", model, "--reference", tiny_folder(),
                    "--json")  # fmt: skip
    assert curve.status == 0, curve.err
    assert len(curve.json["alpha"]) == len(curve.json["slope"]) == 11
    assert 0 <= curve.json["length_neutral_alpha"] <= 1
    assert "length-neutral alpha" in burnish("prefer", "curve", pairs, "--model", model).out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--loss", "lddpo"), "Did you mean 'ld-dpo'"),
        (("--loss", "simpo", "--alpha", "0.5"), "alpha is not a setting of simpo"),
        (("--alpha", "1.5"), "alpha must lie in [0, 1]"),
        (("--set", "los.beta=1"), "setting los is not known"),
        (("--steps", "-1"), "num_steps must not be negative"),
    ],
)
def test_wrong_settings(
    words: tuple[str, ...], says: str, burnish: Burnish, tiny_folder: Any, tmp_path: Path
) -> None:
    pairs = write(tmp_path / "pairs.jsonl")
    done = burnish("prefer", "train", tiny_folder(), pairs, "--out", tmp_path / "run", *words)
    assert done.status == 2 and says in done.err
    assert "Traceback" not in done.err


def test_wrong_files(burnish: Burnish, tiny_folder: Any, tmp_path: Path) -> None:
    write(tmp_path / "pairs.jsonl")
    done = burnish("prefer", "audit", tmp_path / "pars.jsonl", "--model", tiny_folder())
    assert done.status == 2 and "Did you mean 'pairs.jsonl'" in done.err
    (tmp_path / "empty.jsonl").write_text("")
    done = burnish("prefer", "audit", tmp_path / "empty.jsonl", "--model", tiny_folder())
    assert done.status == 1 and "usable pairs must be at least two, got 0" in done.err
    done = burnish("prefer", "curve", tmp_path / "pairs.jsonl", "--model", "smolm2-135m")
    assert done.status == 2 and "smollm2-135m" in done.err
    done = burnish("prefer", "curve", tmp_path / "pairs.jsonl", "--model", tiny_folder(),
                   "--reference", tiny_folder())  # fmt: skip
    assert done.status == 1 and "Give a trained policy" in done.err
