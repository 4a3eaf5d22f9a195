"""What the service's address `/analyze` does: JSON in, JSON out, no HTTP."""

from collections.abc import Mapping
from typing import Any

from burnish.analysis.analyze import analyze
from burnish.analysis.sarif import to_sarif
from burnish.base.errors import InputError
from burnish.sandbox.detection import detect
from burnish.sandbox.job import Limits
from burnish.sandbox.problem import read_limits
from burnish.sandbox.service_api import text_field


def analyze_code(body: Mapping[str, Any], *, deadline_s: float, isolation: str) -> dict[str, Any]:
    """`/analyze`: `code`, and if wanted `language`, `stdins`, `run`, `limits` and `sarif`."""
    code, language = text_field(body, "code"), body.get("language")
    if not language:
        found = detect(code)
        if found.language is None:
            remedy = "Name it in the field 'language'"
            raise InputError("language", found.candidates[0], "is not clear", remedy=remedy)
        language = found.language
    stdins = body.get("stdins", [])
    if not isinstance(stdins, list) or not all(isinstance(text, str) for text in stdins):
        raise InputError("stdins", stdins, "must be a list of texts", remedy="Write [...]")
    limits = read_limits(body.get("limits", {}), base=Limits(wall_s=min(20.0, deadline_s)))
    run = bool(body.get("run", True))
    analysis = analyze(
        code, language, stdins=stdins, limits=limits, isolation=isolation, run=run,
        deadline_s=deadline_s,
    )  # fmt: skip
    sarif = {"sarif": to_sarif(analysis)} if body.get("sarif") else {}
    return analysis.to_dict() | sarif
