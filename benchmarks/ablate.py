"""Claim: what each part of `burnish improve` adds, on 1,000 held-out tasks in under an hour.

`burnish ablate --preset quick` with all parts that apply to sums switched on: drafts, critique by
the program that verifies chains, curation, preference alignment, and a pilot. Paired intervals; "no
detectable effect" is an answer. An interrupted call resumes.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from recording import save

from burnish.recipes.ablating import ablate
from burnish.recipes.settings import LAPTOP_TASKS, ImproveSettings, preset

TASKS = (*LAPTOP_TASKS, "chain:sums?size=160&steps=2&low=1&high=9")
CONTROLS = ("few-shot", "vote")  # they ask the base model, whatever part is on


def settings_of(heldout: int) -> ImproveSettings:
    """The preset `quick` with more held-out tasks, and its parts switched on."""
    base = preset("quick")
    return replace(
        base,
        tasks=TASKS,
        steps=tuple(step for step in base.steps if step not in CONTROLS),
        split=replace(base.split, heldout=heldout),
        prefer=replace(base.prefer, loss="ld-dpo"),
        critique=replace(base.critique, critic="scripted"),
        curate=replace(base.curate, rule="xcoder"),
        scaling=replace(base.scaling, pilot_tasks=60),
    )


def main() -> None:
    """Run, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heldout", type=int, default=1000)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    found = ablate(settings_of(options.heldout), runs=options.runs)
    for row in found["rows"]:
        print(row)
    save("ablate", {"heldout": options.heldout, "minutes": found["minutes"], "rows": found["rows"]})


if __name__ == "__main__":
    main()
