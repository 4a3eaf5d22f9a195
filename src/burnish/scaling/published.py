"""Published fits: parameters, sources, how far they are known, and how N is counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import UnknownNameError
from burnish.base.naming import suggest


@dataclass(frozen=True, kw_only=True)
class PublishedFit:
    """`largest_flops` is the largest training compute of the runs behind it, about."""

    law: str
    params: Mapping[str, float]
    source: str
    trust: str
    counts: str
    largest_flops: float
    largest_experts: float = 1.0
    holdout_error: float | None = None

    def told(self) -> dict[str, Any]:
        """Its report in the form of our own fits, as far as it is known."""
        return {
            "law": self.law, "params": dict(self.params), "counts": self.counts,
            "range": {"c": [0.0, self.largest_flops], "e": [1.0, self.largest_experts]},
            "holdout_error": self.holdout_error, "confidence": None,
            "source": f"{self.source} ({self.trust})",
        }  # fmt: skip


def published_fits() -> dict[str, PublishedFit]:
    """All, by name.

    Not among them: Clark's table and the joint MoE law, whose constants could not be read; with
    the signs that are remembered of the latter, loss rises with E.
    Source: as each says. Oracle: tests/scaling/test_published.py::test_scores_on_the_data
    """
    digits = "Besiroglu et al. 2024, arXiv 2404.10102, refit of digitised points"
    hoffmann = dict(A=406.4, B=410.7, alpha=0.3392, beta=0.2849, sigma=1.6934)
    epoch = dict(A=482.01, B=2085.43, alpha=0.3478, beta=0.3658, sigma=1.8172)
    ours = dict(A=477.826, B=2143.42, alpha=0.3473105, beta=0.3671724, sigma=1.8172181)
    moe = dict(A=3687.474, B=7141.928, alpha=0.4753885, gamma=0.1132277, beta=0.4401840,
               sigma=1.8275613)  # fmt: skip
    kaplan = dict(N_c=8.8e13, D_c=5.4e13, alpha_N=0.076, alpha_D=0.095)
    return {
        "hoffmann": PublishedFit(
            law="chinchilla", params=hoffmann, source="Hoffmann et al. 2022, arXiv 2203.15556",
            trust="published, rounded; stopped early", counts="all", largest_flops=3e21,
        ),
        "epoch": PublishedFit(
            law="chinchilla", params=epoch, source=digits, trust="published, rounded",
            counts="all", largest_flops=1.3e22,
        ),
        "epoch-refit": PublishedFit(
            law="chinchilla", params=ours, source="ours, on Epoch's 240 digitised points",
            trust="measured", counts="all", largest_flops=1.3e22,
        ),
        "kaplan": PublishedFit(
            law="kaplan", params=kaplan, source="Kaplan et al. 2020, arXiv 2001.08361",
            trust="recalled", counts="non-embedding", largest_flops=1e21,
        ),
        "step-law-experts": PublishedFit(
            law="experts", params=moe, source="ours, on the minima of Step Law's 33 cells",
            trust="measured; E = 8 and 88 at one stored size", counts="non-embedding",
            largest_flops=3.7e20, largest_experts=89,
        ),
    }  # fmt: skip


def published_fit(name: str) -> PublishedFit:
    """The fit of a name. Raises: UnknownNameError."""
    known = published_fits()
    if name not in known:
        remedy = suggest(name, known) + "; or give a run of `scaling fit`"
        raise UnknownNameError("fit", name, "is neither a run nor known", remedy=remedy)
    return known[name]
