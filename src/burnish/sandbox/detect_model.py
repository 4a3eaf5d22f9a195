"""The statistical model of languages: a logistic regression over hashed tokens, and its file."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from burnish.base.errors import MissingFileError
from burnish.base.files import atomic_write
from burnish.sandbox.detect_features import NUM_BUCKETS, bucket_features

# columns of evidence in `detect`, and as many coefficients of the fusion and of each split
NUM_EVIDENCE, NUM_FAMILY_EVIDENCE = 7, 7
MODEL_FILE = Path(__file__).with_name("detect.npz")


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """Weights of classes x buckets in eighths of a byte's range, biases, fusion and splits.

    `fusion` are the coefficients of what joins the model's score with the parse: temperature at
    one line and per doubling of the lines, then one for each further column of
    `detect.class_evidence`. `splits` has a row for each of `detect.families`: the log-odds of the
    language that extends are their product with the columns of `detect.family_evidence`.
    Source: ours.
    """

    classes: tuple[str, ...]
    weights: np.ndarray  # int8, classes x buckets
    scale: float
    bias: np.ndarray
    fusion: np.ndarray
    splits: np.ndarray

    def scores_nats(self, code: str) -> np.ndarray:
        """Unnormalised log-probabilities of the classes, from the tokens alone."""
        buckets = bucket_features(code)
        total = self.weights[:, buckets].sum(axis=1, dtype=np.int64) * self.scale
        return total / np.sqrt(max(len(buckets), 1)) + self.bias

    def save(self, path: Path) -> None:
        """Write the model as one compressed file."""
        with atomic_write(path, "wb") as file:
            np.savez_compressed(
                file, classes=np.array(self.classes), weights=self.weights,
                scale=np.array(self.scale), bias=self.bias, fusion=self.fusion,
                splits=self.splits,
            )  # fmt: skip


def quantise(
    classes: tuple[str, ...], weights: np.ndarray, bias: np.ndarray, *, num_families: int
) -> LanguageModel:
    """A model with one byte per weight and no fusion yet. Raises: ValueError, for a wrong width."""
    if weights.shape != (len(classes), NUM_BUCKETS):
        raise ValueError(f"weights must be {(len(classes), NUM_BUCKETS)}, are {weights.shape}")
    scale = float(np.abs(weights).max()) / 127 or 1.0
    return LanguageModel(
        classes=classes, weights=np.round(weights / scale).astype(np.int8), scale=scale,
        bias=bias.astype(np.float32), fusion=np.zeros(NUM_EVIDENCE),
        splits=np.zeros((num_families, NUM_FAMILY_EVIDENCE)),
    )  # fmt: skip


@functools.cache
def load_language_model(path: Path = MODEL_FILE) -> LanguageModel:
    """Read the model that ships with burnish. Raises: MissingFileError."""
    if not path.is_file():
        remedy = "Install burnish again, or train it with benchmarks/sandbox_corpus.sh"
        raise MissingFileError("language model", str(path), "does not exist", remedy=remedy)
    with np.load(path) as arrays:
        return LanguageModel(
            classes=tuple(arrays["classes"].tolist()), weights=arrays["weights"],
            scale=float(arrays["scale"]), bias=arrays["bias"], fusion=arrays["fusion"],
            splits=arrays["splits"],
        )  # fmt: skip
