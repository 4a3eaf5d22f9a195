"""Which language a text is in: a statistical model, corrected by what parses; it may abstain."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from burnish.base.errors import InputError
from burnish.sandbox.detect_features import OTHER, bucket_features
from burnish.sandbox.detect_model import LanguageModel, load_language_model
from burnish.sandbox.languages import find_language, languages
from burnish.sandbox.syntax import error_frac, has_grammar, parse

NUM_PARSED = 8  # how many of the likeliest languages are parsed
THRESHOLD = 0.4  # less sure than this: no language is named
EXTENSION_NATS = 8.0  # what a known extension adds to its languages
SHEBANG_NATS = 12.0
OTHER_NATS = -3.0  # who asks has a program: in the training text `other` is as likely as any
MIN_FEATURES = 6  # of less text (`30`) only hints can tell the language
MAX_PARSED_CHARACTERS = 100_000

_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+)*)?([A-Za-z]+[\w.]*)")


@dataclass(frozen=True, kw_only=True)
class Detection:
    """The likeliest language and how likely it is; `language` is None where that is too little.

    `confidence` is calibrated: of the answers with 0.9, nine in ten are right. `candidates` are
    all languages (and `other`: none of ours), likeliest first.
    """

    language: str | None
    confidence: float
    candidates: tuple[tuple[str, float], ...]


def detect(code: str, path: Path | str | None = None) -> Detection:
    """The language of a program; `path` adds its extension as evidence, which can be outvoted.

    Raises: InputError, for an empty text.
    Source: ours; the paper's classifier (a rule-based and a neural model) is not public.
    Departure: parses instead of rules; returns nothing rather than a guess.
    Oracle: tests/sandbox/test_detect.py::test_planted_programs_of_every_language
    """
    if not code.strip():
        raise InputError("code", code, "must not be empty", remedy="Give a program")
    model = load_language_model()
    enough = len(bucket_features(code)) >= MIN_FEATURES
    scores = fused_scores(model, code) if enough else np.zeros(len(model.classes))
    scores += _hints_nats(model, code, Path(path) if path else None)
    probabilities = _softmax(scores)
    order = np.argsort(-probabilities)
    candidates = tuple((model.classes[i], float(probabilities[i])) for i in order)
    best, confidence = candidates[0]
    named = best != OTHER and confidence >= THRESHOLD
    return Detection(language=best if named else None, confidence=confidence, candidates=candidates)


def fused_scores(model: LanguageModel, code: str) -> np.ndarray:
    """Log-scores of the classes from tokens and parses, at the temperature that calibrates."""
    return fuse(model.scores_nats(code), parse_evidence(model, code), model.fusion)


def parse_evidence(model: LanguageModel, code: str) -> np.ndarray:
    """What joins the tokens' score: for each class a row of the features of the fusion.

    The columns: 1, binary logarithm of the lines, any syntax error, fraction in errors, `r`,
    `other`, and not parsed because too unlikely.
    """
    scores = model.scores_nats(code)
    likely = set(np.argsort(-scores)[:NUM_PARSED].tolist())
    rows = np.zeros((len(model.classes), 7))
    rows[:, 0] = 1.0
    rows[:, 1] = np.log2(max(code.count("\n") + 1, 1))
    for i, name in enumerate(model.classes):
        if name == OTHER or not has_grammar(name):
            rows[i, 5 if name == OTHER else 4] = 1.0
        elif i in likely:
            wrong = _errors(code, name)
            rows[i, 2:4] = float(wrong > 0), wrong
        else:
            rows[i, 6] = 1.0
    return rows


def fuse(scores_nats: np.ndarray, evidence: np.ndarray, fusion: np.ndarray) -> np.ndarray:
    """Scores divided by a temperature that grows with the lines, plus what the parses say."""
    sharpness = np.exp(evidence[..., 0] * fusion[0] + evidence[..., 1] * fusion[1])
    return scores_nats * sharpness + evidence[..., 2:] @ fusion[2:]


def _errors(code: str, name: str) -> float:
    if name == "php" and "<?" not in code:
        return 1.0  # outside <?php everything is text, and text never is an error
    try:
        return error_frac(parse(code[:MAX_PARSED_CHARACTERS], name))
    except InputError:
        return 1.0  # its grammar comes to no end: no program of that language


def _hints_nats(model: LanguageModel, code: str, path: Path | None) -> np.ndarray:
    hints = np.where([name == OTHER for name in model.classes], OTHER_NATS, 0.0)
    shebang = _SHEBANG.match(code)
    program = shebang[1].rstrip("0123456789.") if shebang else ""
    for i, name in enumerate(model.classes):
        if name not in languages.names():
            continue
        language = find_language(name)
        if program and program.lower() in {s.lower() for s in language.shebangs}:
            hints[i] += SHEBANG_NATS
        if path and path.suffix.lower() in language.extensions:
            hints[i] += EXTENSION_NATS
    return hints


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max())
    return shifted / shifted.sum()
