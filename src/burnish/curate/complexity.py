"""Complexity of instructions: a head over a model's states gives the level, or the size."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from burnish.base.errors import InputError, ModelError
from burnish.base.files import atomic_write, existing_file
from burnish.base.meter import Meter
from burnish.curate.scoring import MAX_TOKENS, cut_tokens, embed_texts

if TYPE_CHECKING:
    from burnish.models.handle import ModelHandle

WEIGHTS = Path(__file__).parent / "weights"
BUNDLED = WEIGHTS / "smollm2-135m-complexity.npz"
BUNDLED_SIZES = WEIGHTS / "smollm2-135m-sizes.npz"


@dataclass(frozen=True)
class Scorer:
    """A trained head: level logits of a text are `weight @ state + bias`.

    With a single row of weights, the head is a regression, and its value is the score. `layer` is
    that of the states (0: embeddings); `mean` and `scale` standardise them. `backbone` is the key
    of the model that it was trained on; `info` says how.
    """

    weight: Float[np.ndarray, "C d"]
    bias: Float[np.ndarray, " C"]
    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    layer: int
    backbone: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    def score(self, states: Float[np.ndarray, "R d"]) -> Float[np.ndarray, " R"]:
        """The expected level of each state, or the value of the regression."""
        logits = ((states - self.mean) / self.scale) @ self.weight.T + self.bias
        return logits[:, 0] if logits.shape[-1] == 1 else expected_level(logits)


def expected_level(logits: Float[np.ndarray, "R C"]) -> Float[np.ndarray, " R"]:
    """Expectation of the level 0, 1, ... under the softmax of its logits.

    Source: XCoder's and DEITA's scorers: softmax over the level tokens, weights 0 to 5.
    Oracle: tests/curate/test_complexity.py::test_expectations_by_hand
    """
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chances = np.exp(shifted)
    chances /= chances.sum(axis=-1, keepdims=True)
    return chances @ np.arange(logits.shape[-1])


def fit_head(
    states: Float[np.ndarray, "R d"], levels: Int[np.ndarray, " R"], *, penalty: float = 1e-2
) -> Scorer:
    """Multinomial logistic regression with a quadratic penalty, to its optimum.

    Source: ours; the paper trains the whole model on level tokens.
    Departure: a head over frozen states, which trains in seconds on a CPU.
    Oracle: tests/curate/test_complexity.py::test_the_head_is_at_its_optimum
    """
    from scipy.optimize import minimize

    num_levels = int(levels.max()) + 1
    mean, scale = states.mean(axis=0), states.std(axis=0) + 1e-6
    rows = ((states - mean) / scale).astype(np.float64)
    wanted = np.eye(num_levels)[levels]
    width = rows.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[:-num_levels].reshape(num_levels, width), flat[-num_levels:]
        logits = rows @ weight.T + bias
        top = logits.max(axis=1, keepdims=True)
        logz = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
        value = (logz - (logits * wanted).sum(axis=1)).mean() + penalty * (weight**2).sum() / 2
        error = (np.exp(logits - logz[:, None]) - wanted) / len(rows)
        return value, np.concatenate([(error.T @ rows + penalty * weight).ravel(), error.sum(0)])

    found = minimize(loss, np.zeros(num_levels * (width + 1)), jac=True, method="L-BFGS-B",
                     options={"maxiter": 500})  # fmt: skip
    weight = found.x[:-num_levels].reshape(num_levels, width)
    return Scorer(weight, found.x[-num_levels:], mean, scale, layer=0)


def fit_sizes(
    states: Float[np.ndarray, "R d"], sizes: Float[np.ndarray, " R"], *, penalty: float = 1.0
) -> Scorer:
    """Ridge regression of the logarithm of answers' sizes on the states of their instructions.

    Source: ours; no evolution and no label is needed, but instructions with answers.
    Oracle: tests/curate/test_complexity.py::test_the_regression_is_at_its_optimum
    """
    mean, scale = states.mean(axis=0), states.std(axis=0) + 1e-6
    rows, wanted = ((states - mean) / scale).astype(np.float64), np.log(sizes)
    bias = wanted.mean()
    square = rows.T @ rows / len(rows) + penalty * np.eye(rows.shape[1])
    weight = np.linalg.solve(square, rows.T @ (wanted - bias) / len(rows))
    return Scorer(weight[None], np.array([bias]), mean, scale, layer=0)


def save_scorer(scorer: Scorer, path: Path | str) -> None:
    """Write a scorer as one .npz file."""
    arrays: dict[str, Any] = {
        n: np.asarray(getattr(scorer, n), np.float32) for n in ("weight", "bias", "mean", "scale")
    }
    about = {"layer": scorer.layer, "backbone": scorer.backbone, "info": dict(scorer.info)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as file:
        packed = np.frombuffer(json.dumps(about).encode(), np.uint8)
        np.savez(file, about=packed, **arrays)


def load_scorer(path: Path | str) -> Scorer:
    """Read a scorer. Raises: MissingFileError; InputError, for a file that holds no scorer."""
    place = existing_file(path)
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as held:
            about = json.loads(bytes(held["about"]))
            arrays = [held[n] for n in ("weight", "bias", "mean", "scale")]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        remedy = "Name a file that `burnish curate train` wrote"
        raise InputError("scorer", str(path), "must be a scorer's file", remedy=remedy) from None
    return Scorer(*arrays, layer=about["layer"], backbone=about["backbone"], info=about["info"])


def score_texts(
    scorer: Scorer, handle: "ModelHandle", texts: Sequence[str], meter: Meter, *,
    max_tokens: int = MAX_TOKENS,
) -> Float[np.ndarray, " R"]:  # fmt: skip
    """Complexity of texts, cut at `max_tokens`; NaN for a blank one.

    Raises: ModelError, where the scorer was trained on another model.
    """
    if scorer.backbone and scorer.backbone != handle.key:
        rule, remedy = (
            "is not the model for which the scorer was trained",
            "Run `burnish curate train`",
        )
        raise ModelError("model", handle.spec, rule, remedy=remedy)
    found = np.full(len(texts), np.nan)
    there = [i for i, text in enumerate(texts) if text.strip()]
    cut = [cut_tokens(handle, texts[i], max_tokens) for i in there]
    if there:
        found[there] = scorer.score(embed_texts(handle, cut, meter, layer=scorer.layer))
    return found
