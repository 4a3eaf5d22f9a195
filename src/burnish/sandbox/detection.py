"""Which language a text is in: a statistical model, corrected by what parses; it may abstain."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from burnish.base.errors import InputError
from burnish.sandbox.detect_features import OTHER, bucket_features
from burnish.sandbox.detect_model import (
    NUM_EVIDENCE,
    NUM_FAMILY_EVIDENCE,
    LanguageModel,
    load_language_model,
)
from burnish.sandbox.detect_refusal import refuses
from burnish.sandbox.languages import find_language, languages
from burnish.sandbox.syntax import count_nodes, error_frac, has_grammar, parse

NUM_PARSED = 8  # how many of the likeliest languages are parsed
THRESHOLD = 0.5  # less sure than this: no language is named
HINTED_THRESHOLD = 0.4  # ... of a text with an extension or a `#!`
EXTENSION_NATS = 8.0  # what a known extension adds to its languages
SHEBANG_NATS = 12.0
OTHER_NATS = -3.0  # who asks has a program: in the training text `other` is as likely as any
MIN_FEATURES = 6  # of less text (`30`) only hints can tell the language
MAX_PARSED_CHARACTERS = 100_000

_PHP = re.compile(r"<\?(?:php\b|=)|^\s*<\?\s", re.IGNORECASE | re.MULTILINE)
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
    Departure: parses instead of rules; returns nothing rather than a guess. Without a hint (path,
    `#!`) a text whose syntax is of none of our languages has none (`detect_refusal`).
    Oracle: tests/sandbox/test_detection.py::test_planted_programs_of_every_language
    """
    if not code.strip():
        raise InputError("code", code, "must not be empty", remedy="Give a program")
    model = load_language_model()
    hints = _shebang_nats(model, code) + _extension_nats(model, Path(path) if path else None)
    scores = np.zeros(len(model.classes))
    parsed: dict[str, Parsed] = {}
    if len(bucket_features(code)) >= MIN_FEATURES:
        tokens = model.scores_nats(code)
        parsed = parse_likely(model, tokens, code)
        scores = fuse(tokens, class_evidence(model, code, parsed), model.fusion)
        scores = part_families(model, scores, family_evidence(parsed))
    scores += hints
    scores += np.where([name == OTHER for name in model.classes], OTHER_NATS, 0.0)
    probabilities = _softmax(scores)
    order = np.argsort(-probabilities)
    candidates = tuple((model.classes[i], float(probabilities[i])) for i in order)
    best, confidence = candidates[0]
    least = HINTED_THRESHOLD if hints.any() else THRESHOLD
    named = best != OTHER and confidence >= least
    if named and not hints.any():
        wrong = parsed[best].error_frac if best in parsed else 0.0
        named = not refuses(code, best, wrong, confidence)
    return Detection(language=best if named else None, confidence=confidence, candidates=candidates)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """The fraction of a text that is in errors under a grammar, and how many nodes are its own."""

    error_frac: float
    num_own: int = 0


def parse_likely(model: LanguageModel, scores_nats: np.ndarray, code: str) -> dict[str, Parsed]:
    """The text parsed by the grammars of the likeliest languages and of their families."""
    order = np.argsort(-scores_nats)[:NUM_PARSED]
    names = {model.classes[i] for i in order}
    for extended, base in families():
        if names & {extended, base}:
            names |= {extended, base}
    return {name: parse_one(code, name) for name in sorted(names - {OTHER}) if has_grammar(name)}


@functools.cache
def families() -> tuple[tuple[str, str], ...]:
    """Pairs of a language that extends another, and the other."""
    pairs = [(name, languages.get(name).extends) for name in languages.names()]
    return tuple((name, base) for name, base in pairs if base)


def class_evidence(model: LanguageModel, code: str, parsed: Mapping[str, Parsed]) -> np.ndarray:
    """What joins the tokens' score: for each class a row of the features of the fusion.

    The columns: 1, binary logarithm of the lines, any syntax error, fraction in errors, `r`,
    `other`, and not parsed because too unlikely.
    """
    rows = np.zeros((len(model.classes), NUM_EVIDENCE))
    rows[:, 0] = 1.0
    rows[:, 1] = np.log2(max(code.count("\n") + 1, 1))
    for i, name in enumerate(model.classes):
        if name == OTHER or not has_grammar(name):
            rows[i, 5 if name == OTHER else 4] = 1.0
        elif name in parsed:
            wrong = parsed[name].error_frac
            rows[i, 2:4] = float(wrong > 0), wrong
        else:
            rows[i, 6] = 1.0
    return rows


def family_evidence(parsed: Mapping[str, Parsed]) -> np.ndarray:
    """What tells the members of a family apart: a row for each of `families`, zeros if unparsed.

    The columns: 1, no node of its own, binary logarithm of 1 + their number, and any error and
    the fraction in errors for the language that extends, and for the one that is extended.
    """
    rows = np.zeros((len(families()), NUM_FAMILY_EVIDENCE))
    for row, (extended, base) in zip(rows, families(), strict=True):
        if extended in parsed and base in parsed:
            own = parsed[extended].num_own
            wrong = [parsed[name].error_frac for name in (extended, base)]
            row[:3] = 1.0, own == 0, np.log2(1 + own)
            row[3:] = wrong[0] > 0, wrong[0], wrong[1] > 0, wrong[1]
    return rows


def fuse(scores_nats: np.ndarray, evidence: np.ndarray, fusion: np.ndarray) -> np.ndarray:
    """Scores over a temperature that grows with the number of lines, plus the parses' evidence."""
    sharpness = np.exp(evidence[..., 0] * fusion[0] + evidence[..., 1] * fusion[1])
    return scores_nats * sharpness + evidence[..., 2:] @ fusion[2:]


def part_families(model: LanguageModel, scores: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Split each family's probability among its members by syntax, not by tokens.

    Words tell C from C++ by project rather than by language; a `std::` or a type annotation
    settles it.
    """
    parted = scores.copy()
    for number, pair in enumerate(families()):
        row = evidence[..., number, :]
        odds, known = row @ model.splits[number], row[..., 0] > 0
        places = [model.classes.index(name) for name in pair]
        both = np.logaddexp(*(scores[..., place] for place in places))
        for place, nats in zip(places, (odds, -odds), strict=True):
            share = both - np.logaddexp(0.0, -nats)
            parted[..., place] = np.where(known, share, scores[..., place])
    return parted


def parse_one(code: str, name: str) -> Parsed:
    """The text parsed by one grammar."""
    if name == "php" and not _PHP.search(code):
        return Parsed(error_frac=1.0)  # outside <?php everything is text, and text is no error
    try:
        tree = parse(code[:MAX_PARSED_CHARACTERS], name)
    except InputError:
        return Parsed(error_frac=1.0)  # its grammar comes to no end: no program of that language
    own = find_language(name).own_nodes
    return Parsed(error_frac=error_frac(tree), num_own=count_nodes(tree, own) if own else 0)


def _shebang_nats(model: LanguageModel, code: str) -> np.ndarray:
    """For languages whose interpreter is named; of their family too: bun runs either member."""
    found = _SHEBANG.match(code)
    program = found[1].rstrip("0123456789.").lower() if found else ""
    named = {
        name
        for name in languages.names()
        if program and program in {s.lower() for s in languages.get(name).shebangs}
    }
    for pair in families():
        if named & set(pair):
            named |= set(pair)
    return np.array([SHEBANG_NATS * (name in named) for name in model.classes])


def _extension_nats(model: LanguageModel, path: Path | None) -> np.ndarray:
    known = [name in languages.names() for name in model.classes]
    return np.array(
        [
            EXTENSION_NATS * bool(k and path and path.suffix.lower() in languages.get(n).extensions)
            for n, k in zip(model.classes, known, strict=True)
        ]
    )


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max())
    return shifted / shifted.sum()
