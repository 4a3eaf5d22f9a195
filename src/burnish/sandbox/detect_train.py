"""Trains the model of language detection: `python -m burnish.sandbox.detect_train ROOT ...`.

The roots are folders with any source files; extensions are the labels. Which folders made the
model that ships is in `benchmarks/sandbox_corpus.sh`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from burnish.base.progress import say
from burnish.sandbox.detect import fuse, parse_evidence
from burnish.sandbox.detect_corpus import EXTENSIONS, Sample, corpus_files, is_held_out, samples_of
from burnish.sandbox.detect_features import NUM_BUCKETS, bucket_features
from burnish.sandbox.detect_model import MODEL_FILE, LanguageModel, quantise

CLASSES = tuple(sorted(EXTENSIONS))
NO_FUSION = np.zeros(7)
DECAY = 2e-6  # of the squared weights
NUM_HELD_OUT = 3000  # half calibrates, half reports


def train(
    roots: Sequence[Path], *, num_files: int = 3000, windows: int = 3, seed: int = 0
) -> tuple[LanguageModel, dict[str, float]]:
    """Train on four fifths of the folders, calibrate on half of the rest, report on the other.

    Source: ours. L2-regularised multinomial logistic regression, every class with equal weight.
    Oracle: tests/sandbox/test_detect_train.py::test_a_small_corpus_is_learned
    """
    samples = list(samples_of(corpus_files(roots, num_files, seed), windows=windows, seed=seed))
    held_out = [s for s in samples if is_held_out(s)]
    kept = [s for s in samples if not is_held_out(s)]
    say(f"{len(kept)} windows to train on, {len(held_out)} held out")
    weights, bias = _fit_tokens(kept)
    plain = quantise(CLASSES, weights, bias, NO_FUSION)
    rng = np.random.default_rng(seed)
    held_out = [s for s in held_out if s.whole]  # as programs are; a cut one seldom parses
    held_out = [held_out[i] for i in rng.permutation(len(held_out))[:NUM_HELD_OUT]]
    half = len(held_out) // 2
    fusion = _fit_fusion(plain, held_out[:half])
    model = quantise(CLASSES, weights, bias, fusion)
    return model, _report(model, held_out[half:])


def _fit_tokens(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    features, labels = _matrix(samples)
    counts = np.bincount(labels, minlength=len(CLASSES))
    importance = (len(labels) / len(CLASSES) / np.maximum(counts, 1))[labels]
    importance /= importance.sum()
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


def _matrix(samples: Sequence[Sample]) -> tuple[csr_matrix, np.ndarray]:
    columns = [bucket_features(s.code) for s in samples]
    starts = np.cumsum([0, *(len(c) for c in columns)])
    values = np.concatenate([np.full(len(c), 1 / np.sqrt(max(len(c), 1))) for c in columns])
    shape = (len(samples), NUM_BUCKETS)
    matrix = csr_matrix((values, np.concatenate(columns), starts), shape=shape)
    return matrix, np.array([CLASSES.index(s.language) for s in samples])


def _fit_fusion(model: LanguageModel, samples: Sequence[Sample]) -> np.ndarray:
    scores = np.stack([model.scores_nats(s.code) for s in samples])
    evidence = np.stack([parse_evidence(model, s.code) for s in samples])
    labels = np.array([CLASSES.index(s.language) for s in samples])

    def loss(fusion: np.ndarray) -> float:
        log_p = log_softmax(fuse(scores, evidence, fusion), axis=1)
        return -float(log_p[np.arange(len(labels)), labels].mean()) + 1e-4 * float(fusion @ fusion)

    return minimize(loss, np.array([0.0, 0.0, -1.0, -1.0, 0.0, 0.0, -1.0])).x


def _report(model: LanguageModel, samples: Sequence[Sample]) -> dict[str, float]:
    scores = np.stack([model.scores_nats(s.code) for s in samples])
    evidence = np.stack([parse_evidence(model, s.code) for s in samples])
    labels = np.array([CLASSES.index(s.language) for s in samples])
    log_p = log_softmax(fuse(scores, evidence, model.fusion), axis=1)
    sure, right = np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == labels
    long = np.array([s.code.count("\n") >= 4 for s in samples])
    return {
        "num_windows": float(len(samples)),
        "accuracy_frac": float(right.mean()),
        "accuracy_at_5_lines_frac": float(right[long].mean()),
        "tokens_alone_frac": float((scores.argmax(axis=1) == labels).mean()),
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
