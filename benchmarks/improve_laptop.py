"""Claim: the laptop preset shows a gain on held-out tasks in about ten minutes on two cores.

A whole `burnish improve --preset laptop`, with its controls; the numbers of the README. The run's
folder stays (`--runs`), so it can be verified, and an interrupted call resumes.
"""

import argparse
from pathlib import Path

from recording import save

from burnish.recipes.improve import improve
from burnish.recipes.settings import preset


def main() -> None:
    """Run, and keep what the README says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="laptop", help="another one changes what is claimed")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    found = improve(preset(options.preset), runs=options.runs)
    controls = found["controls"]
    rows = {
        "preset": options.preset,
        "verdict": found["page"]["verdict"],
        "minutes": found["minutes"],
        "predicted_minutes": found["cost"]["plan"]["minutes"],
        "before": found["before"]["accuracy"],
        "after": found["after"]["accuracy"],
        "gain": found["gain"],
        "gates": {gate["name"]: gate["outcome"] for gate in found["gates"]},
        "by_group": {side: found[side]["by_group"] for side in ("before", "after")},
        "few_shot": controls["few_shot"]["accuracy"],
        "few_shot_form": controls["few_shot"]["form"],
        "few_shot_forms": controls["few_shot"]["forms"],
        "majority_vote": controls["majority_vote"]["accuracy"],
        "num_votes": controls["majority_vote"]["num_votes"],
    }
    print(rows["verdict"])
    save(f"improve_{options.preset}", rows)


if __name__ == "__main__":
    main()
