"""The work of the commands `audit` and `curve`, callable from Python."""

from pathlib import Path
from typing import Any

from burnish.base.files import cache_folder
from burnish.models.load import Model, load_model
from burnish.prefer.alpha_curve import alpha_curve
from burnish.prefer.length_audit import audit_pairs, check_enough
from burnish.prefer.measure import Scores, measure_margins, score_pairs
from burnish.prefer.pairs import Pair
from burnish.prefer.reading import read_pairs
from burnish.prefer.reference import ReferenceCache
from burnish.prefer.settings import PairSettings


def audit_file(
    path: Path,
    settings: PairSettings,
    *,
    model: str,
    num_scored: int = 0,
    reference: str | None = None,
    precision: str = "fp32",
    device: str = "auto",
) -> dict[str, Any]:
    """What the pairs of a file teach about length, and which rows cannot be used.

    `num_scored` pairs are also scored, for `margins`. With fewer than two usable pairs there are no
    numbers, only the rows' problems. Raises: MissingFileError, InputError, and what `load_model`
    does.
    """
    network = load_model(model, precision=precision, device=device)
    found = read_pairs(path, network, settings)
    result: dict[str, Any] = {"pairs": str(path), "model": model, "margins": None}
    if len(found.pairs) < 2:  # nothing to measure: the reasons are what the user wants
        return result | found.to_dict()
    result |= audit_pairs(found).to_dict()
    if num_scored:
        scores = _scores(network, found.pairs[:num_scored], reference, precision)
        result["margins"] = measure_margins(scores).to_dict()
    return result


def curve_file(
    path: Path,
    settings: PairSettings,
    *,
    model: str,
    limit: int = 0,
    reference: str | None = None,
    precision: str = "fp32",
    device: str = "auto",
) -> dict[str, Any]:
    """How margins follow length for every alpha; `limit` 0 scores all pairs.

    Raises: IncompleteError for fewer than two usable pairs, and as `audit_file`.
    """
    network = load_model(model, precision=precision, device=device)
    found = read_pairs(path, network, settings)
    check_enough(found.pairs, len(found.problems))
    scores = _scores(network, found.pairs[: limit or None], reference, precision)
    told = {"pairs": str(path), "model": model, "reference": reference}
    return told | alpha_curve(scores).to_dict()


def _scores(model: Model, pairs: tuple[Pair, ...], reference: str | None, precision: str) -> Scores:
    """Log-likelihoods of the pairs, relative to those of the reference if there is one."""
    if reference is None:
        return score_pairs(model.network, pairs)
    device = str(model.device)
    other = load_model(reference, precision=precision, device=device).network
    known = ReferenceCache(cache_folder() / "preferences", other)
    known.fill(other, pairs)
    return score_pairs(model.network, pairs, reference=known)
