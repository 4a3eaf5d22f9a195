"""Training of detection on a tiny corpus, and the error of its calibration."""

import sys

import numpy as np
import pytest
from fixtures.pages import ROOT
from fixtures.programs import DIALECTS, random_tree, write

from burnish.sandbox.detection import families, family_evidence, parse_one

sys.path.insert(0, str(ROOT / "benchmarks"))  # which is no package

from language_detection import train as detect_train
from language_detection.corpus import (
    EXTENSIONS,
    Sample,
    corpus_files,
    held_out_groups,
    samples_of,
)
from language_detection.train import calibration_error, train


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


def check_held_out(samples, apart):
    """Some packages, each whole, and of no language more than a fifth."""
    assert apart and apart < {s.group for s in samples}
    for language in {s.language for s in samples}:
        own = [s.group in apart for s in samples if s.language == language]
        assert sum(own) <= 0.2 * len(own)


def test_packages_are_never_parted(corpus):
    samples = list(samples_of(corpus_files([corpus], 30, 0), windows=3, seed=0))
    assert {s.group for s in samples} == {p.name for p in corpus.iterdir()}
    check_held_out(samples, held_out_groups(samples))


def test_planted_split_that_takes_half(corpus):
    samples = list(samples_of(corpus_files([corpus], 30, 0), windows=3, seed=0))
    with pytest.raises(AssertionError):
        check_held_out(samples, held_out_groups(samples, frac=0.5))


def test_every_package_has_its_share(tmp_path):
    for package, num in (("large", 40), ("small", 3)):
        for i in range(num):
            (tmp_path / package / str(i)).mkdir(parents=True)
            (tmp_path / package / str(i) / "a.py").write_text(f"x = {i}\n" * 9)
    chosen = corpus_files([tmp_path], 6, 0)["python"]
    assert sorted(file.group for file in chosen) == ["large"] * 3 + ["small"] * 3


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


def test_inside_a_family_syntax_is_learned():
    plain, typed = "const x = {i};\nf(x);\n", "const x: number = {i};\nf(x as any);\n"
    rows = [
        Sample(code=text.format(i=i), language=name, group=str(i), whole=True)
        for i in range(20)
        for text, name in ((plain, "javascript"), (typed, "typescript"))
    ]
    number = families().index(("typescript", "javascript"))
    odds = detect_train._fit_splits(rows)[number]
    for row, sign in zip(rows, (-1, 1) * 20, strict=True):
        parsed = {name: parse_one(row.code, name) for name in families()[number]}
        assert sign * float(family_evidence(parsed)[number] @ odds) > 1
