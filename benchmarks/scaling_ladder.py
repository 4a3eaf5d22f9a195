"""Claim: a law fitted on small runs predicts a run of four times their compute.

`burnish scaling ladder` trains 16 models of text, dense and with 8 experts (two chosen), and fits
the paper's dense/MoE law; then it trains the two held-out models, dense and MoE, at four times the
largest compute, and compares what they reached with the prediction, and with that of a power law in
compute alone. The law is chosen before: `--law` names it. Cells resume.

    python benchmarks/scaling_ladder.py [--sizes 3e4,4.5e4,7e4,1e5] [--optimizer muon]
"""

import argparse
from pathlib import Path
from typing import Any

from recording import RESULTS, save

from burnish.recipes.laddering import climb_ladder
from burnish.scaling.ladder_cells import LadderSettings
from burnish.scaling.settings import FitSettings

RUN = RESULTS.parents[1] / "build" / "benchmarks" / "scaling_ladder"
KEPT = ("law", "params", "intervals", "confidence", "not_identified", "holdout", "prediction")


def main() -> None:
    """Train, fit, predict, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="3e4,4.5e4,7e4,1e5")
    parser.add_argument("--ratios", default="10,20")
    parser.add_argument("--optimizer", default="muon")
    parser.add_argument("--law", default="experts")
    parser.add_argument("--run", type=Path, default=RUN)
    given = parser.parse_args()
    lists = {
        name: tuple(float(part) for part in getattr(given, name).split(","))
        for name in ("sizes", "ratios")
    }
    settings = LadderSettings(
        **lists,
        experts=(1, 8),
        corpus="stdlib",
        train=(f"optimizer={given.optimizer}",),
        fit=FitSettings(law=given.law),
    )
    found = climb_ladder(settings, folder=given.run)
    told = found["prediction"]
    print(f"predicted {told['predicted']:.4f}, reached {told['actual']:.4f}: {told['error']:.2%}")
    print(f"a power law in compute: {told['compute_law_error']:.2%}")
    asked = {name: value for name, value in vars(given).items() if name != "run"}
    rows: dict[str, Any] = {"settings": asked, **{name: found[name] for name in KEPT}}
    rows["cells"] = [
        {n: c[n] for n in ("name", "n", "d", "e", "batch", "lr", "loss", "seconds")}
        for c in found["trained"]
    ]
    save("scaling_ladder", rows)


if __name__ == "__main__":
    main()
