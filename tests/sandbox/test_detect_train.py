"""Training of detection on a tiny corpus, and the error of its calibration."""

import numpy as np
import pytest
from fixtures.programs import DIALECTS, random_tree, write

from burnish.sandbox import detect_train
from burnish.sandbox.detect_corpus import EXTENSIONS, corpus_files, is_held_out, samples_of
from burnish.sandbox.detect_train import calibration_error, train


@pytest.fixture
def corpus(tmp_path):
    for language in ("python", "c", "ruby"):
        for seed in range(24):
            folder = tmp_path / f"{language}-{seed}"
            folder.mkdir()
            code = write([*random_tree(seed), seed, seed + 1], language).code
            (folder / f"a{EXTENSIONS[language][0]}").write_text(code)
    return tmp_path


def test_a_small_corpus_is_learned(corpus, monkeypatch):
    model, report = train([corpus], num_files=30, windows=2)
    assert report["accuracy_frac"] == 1.0
    assert model.weights.dtype == np.int8
    path = corpus / "model.npz"
    model.save(path)
    assert detect_train.LanguageModel is type(model)
    assert path.stat().st_size < 100_000


def test_folders_are_never_parted(corpus):
    samples = list(samples_of(corpus_files([corpus], 30, 0), windows=3, seed=0))
    sides = {}
    for sample in samples:
        sides.setdefault(sample.group, set()).add(is_held_out(sample))
    assert all(len(side) == 1 for side in sides.values())
    assert {True, False} == set().union(*sides.values())


def test_the_same_content_is_taken_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text(write([1, 2, 3], "python").code * 3)
    samples = list(samples_of(corpus_files([tmp_path], 9, 0), windows=2, seed=0))
    assert len({s.group for s in samples}) == 1


def check_calibration(error):
    sure = np.array([0.95] * 20 + [0.55] * 20)
    right = np.array([1] * 19 + [0] + [1] * 11 + [0] * 9, dtype=bool)
    assert error(sure, right) == pytest.approx(0.0, abs=1e-12)
    assert error(np.full(10, 0.95), np.zeros(10, dtype=bool)) == pytest.approx(0.95)


def test_calibration_error_of_planted_confidences():
    check_calibration(calibration_error)


def test_planted_error_that_looks_at_the_mean_alone():
    with pytest.raises(AssertionError):
        check_calibration(lambda sure, right: abs(sure.max() - right.mean()))


def test_every_language_has_extensions():
    assert set(DIALECTS) < set(EXTENSIONS)
