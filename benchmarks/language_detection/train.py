"""Trains the model of language detection: `sandbox_corpus.sh` calls it on its folders.

The roots are folders with any source files; extensions are the labels. Which folders made the
model that ships is in `benchmarks/sandbox_corpus.sh`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from burnish.base.progress import say
from burnish.sandbox.detect_features import NUM_BUCKETS, bucket_features
from burnish.sandbox.detect_model import MODEL_FILE, NUM_FAMILY_EVIDENCE, LanguageModel, quantise
from burnish.sandbox.detection import (
    class_evidence,
    families,
    family_evidence,
    fuse,
    parse_likely,
    parse_one,
    part_families,
)
from language_detection.corpus import (
    EXTENSIONS,
    Sample,
    corpus_files,
    held_out_groups,
    samples_of,
)

CLASSES = tuple(sorted(EXTENSIONS))
DECAY = 2e-6  # of the squared weights
NUM_CALIBRATING, NUM_JUDGES = 4000, 1500  # held-out samples that calibrate, and others that report


def train(
    roots: Sequence[Path], *, num_files: int = 3000, windows: int = 3, seed: int = 0
) -> tuple[LanguageModel, dict[str, float]]:
    """Train on four fifths of the packages; the others calibrate, and report, by samples apart.

    Source: ours. L2-regularised multinomial logistic regression, every class with equal weight.
    Oracle: tests/sandbox/test_detect_train.py::test_a_small_corpus_is_learned
    """
    samples = list(samples_of(corpus_files(roots, num_files, seed), windows=windows, seed=seed))
    apart = held_out_groups(samples)
    held_out = [s for s in samples if s.group in apart]
    kept = [s for s in samples if s.group not in apart]
    say(f"{len(kept)} windows to train on, {len(held_out)} held out, of {len(apart)} packages")
    weights, bias = _fit_tokens(kept)
    model = quantise(CLASSES, weights, bias, num_families=len(families()))
    held_out = [s for s in held_out if s.whole]  # as programs are; a cut one seldom parses
    order = np.random.default_rng(seed).permutation(len(held_out)).tolist()
    half = min(NUM_JUDGES, len(order) // 2)
    judges, rest = ([held_out[i] for i in part] for part in (order[:half], order[half:]))
    model = replace(model, splits=_fit_splits([s for s in kept if s.whole]))
    model = replace(model, fusion=_fit_fusion(_Seen.of(model, rest[:NUM_CALIBRATING]), model))
    return model, _report(_Seen.of(model, judges), model)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Samples as the fusion sees them: scores of the tokens, evidence of the parses, truth."""

    scores: np.ndarray
    classes: np.ndarray
    families: np.ndarray
    labels: np.ndarray
    long: np.ndarray

    @classmethod
    def of(cls, model: LanguageModel, samples: Sequence[Sample]) -> Self:
        """What the model's tokens and the grammars say of the samples."""
        scores = [model.scores_nats(s.code) for s in samples]
        parsed = [parse_likely(model, n, s.code) for n, s in zip(scores, samples, strict=True)]
        evidence = [class_evidence(model, s.code, p) for s, p in zip(samples, parsed, strict=True)]
        return cls(
            scores=np.stack(scores),
            classes=np.stack(evidence),
            families=np.stack([family_evidence(p) for p in parsed]),
            labels=np.array([CLASSES.index(s.language) for s in samples]),
            long=np.array([s.code.count("\n") >= 4 for s in samples]),
        )

    def log_p(self, model: LanguageModel, fusion: np.ndarray) -> np.ndarray:
        """Log-probabilities [nats] of the classes, with these coefficients."""
        fused = fuse(self.scores, self.classes, fusion)
        return log_softmax(part_families(model, fused, self.families), axis=1)


def _fit_tokens(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    features, labels = _matrix(samples)
    importance = _importance(labels)
    one_hot = np.eye(len(CLASSES))[labels]
    shape = (len(CLASSES), NUM_BUCKETS)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = flat[: -len(CLASSES)].reshape(shape), flat[-len(CLASSES) :]
        log_p = log_softmax(features @ weights.T + bias, axis=1)
        error = (np.exp(log_p) - one_hot) * importance[:, None]
        gradient = (features.T @ error).T + 2 * DECAY * weights
        value = -float((importance * log_p[np.arange(len(labels)), labels]).sum())
        value += DECAY * float((weights**2).sum())
        return value, np.concatenate([gradient.ravel(), error.sum(axis=0)])

    start = np.zeros(shape[0] * shape[1] + len(CLASSES))
    options = {"maxiter": 150, "maxcor": 8}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return found[: -len(CLASSES)].reshape(shape), found[-len(CLASSES) :]


def _importance(labels: np.ndarray) -> np.ndarray:
    """Weights that sum to 1 and give every class the same sum."""
    importance = 1 / np.bincount(labels)[labels]
    return importance / importance.sum()


def _matrix(samples: Sequence[Sample]) -> tuple[csr_matrix, np.ndarray]:
    columns = [bucket_features(s.code) for s in samples]
    starts = np.cumsum([0, *(len(c) for c in columns)])
    values = np.concatenate([np.full(len(c), 1 / np.sqrt(max(len(c), 1))) for c in columns])
    shape = (len(samples), NUM_BUCKETS)
    matrix = csr_matrix((values, np.concatenate(columns), starts), shape=shape)
    return matrix, np.array([CLASSES.index(s.language) for s in samples])


def _fit_splits(samples: Sequence[Sample]) -> np.ndarray:
    """Inside each family: a logistic regression on syntax alone, both members with equal weight."""
    rows = []
    for number, pair in enumerate(families()):
        members = [s for name in pair for s in samples if s.language == name]
        evidence = [
            family_evidence({name: parse_one(s.code, name) for name in pair})[number]
            for s in members
        ]
        labels = np.array([s.language == pair[0] for s in members])
        rows.append(_fit_odds(np.array(evidence), labels))
    return np.stack(rows)


def _fit_odds(evidence: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if labels.all() or not labels.any():
        return np.zeros(NUM_FAMILY_EVIDENCE)  # a corpus without one of the two teaches nothing
    importance = _importance(labels.astype(int))

    def loss(odds: np.ndarray) -> float:
        nats = np.where(labels, 1.0, -1.0) * (evidence @ odds)
        return float(importance @ np.logaddexp(0.0, -nats)) + 1e-4 * float(odds @ odds)

    return minimize(loss, np.zeros(evidence.shape[-1])).x


def _fit_fusion(seen: _Seen, model: LanguageModel) -> np.ndarray:
    importance = _importance(seen.labels)

    def loss(fusion: np.ndarray) -> float:
        log_p = seen.log_p(model, fusion)[np.arange(len(seen.labels)), seen.labels]
        return -float(importance @ log_p) + 1e-4 * float(fusion @ fusion)

    return minimize(loss, np.array([0.0, 0.0, -1.0, -1.0, 0.0, 0.0, -1.0])).x


def _report(seen: _Seen, model: LanguageModel) -> dict[str, float]:
    log_p = seen.log_p(model, model.fusion)
    sure, right = np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == seen.labels
    return {
        "num_windows": float(len(seen.labels)),
        "accuracy_frac": float(right.mean()),
        "accuracy_at_5_lines_frac": float(right[seen.long].mean()),
        "tokens_alone_frac": float((seen.scores.argmax(axis=1) == seen.labels).mean()),
        "calibration_error_frac": calibration_error(sure, right),
    }


def calibration_error(sure: np.ndarray, right: np.ndarray, num_bins: int = 10) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over bins of equal width.

    Source: Guo et al. 2017 (arXiv 1706.04599), equation 3.
    Oracle: tests/sandbox/test_detect_train.py::test_calibration_error_of_planted_confidences
    """
    bins = np.minimum((sure * num_bins).astype(int), num_bins - 1)
    gaps = [
        abs(sure[bins == i].mean() - right[bins == i].mean()) * (bins == i).mean()
        for i in range(num_bins)
        if (bins == i).any()
    ]
    return float(sum(gaps))


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    parser.add_argument("--files", type=int, default=3000)
    arguments = parser.parse_args()
    model, report = train(arguments.roots, num_files=arguments.files)
    model.save(arguments.out)
    for name, value in report.items():
        say(f"{name} {value:.4f}")


if __name__ == "__main__":
    main()
