"""The prompts that the shipped drafter learned from: a seeded mixture that excludes Spec-Bench.

Sources and licences: ../shared/data/SOURCES.md. Only prompts are taken; the answers are the
model's own. Writes JSONL rows `{"prompt": ..., "source": ...}`.
"""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.base.records import read_json, read_records, write_records

MIXTURE = {
    "gsm8k": 320,
    "gpteacher": 160,
    "mbpp": 120,
    "pandalm": 320,
    "dpo-prompts": 140,
    "dpo-summarize": 160,
}
SHORTEST, LONGEST = 10, 2400  # characters


def instruction(row: Mapping[str, str]) -> str:
    """An instruction with its input, if it has one."""
    return row["instruction"] + (f"\n\n{row['input']}" if row["input"] else "")


def pools(data: Path) -> dict[str, list[str]]:
    """All prompts of each source."""
    preferences: Sequence[Any] = read_json(data / "preference/dpo_en_demo.json")
    pandalm = read_json(data / "preference/pandalm-testset-v1.json")
    gpteacher = read_json(data / "code/gpteacher-codegen.json")
    return {
        "gsm8k": [row["question"] for row in read_records(data / "gsm8k/train.jsonl")],
        "gpteacher": [instruction(row) for row in gpteacher],
        "mbpp": [row["text"] for row in read_records(data / "code/mbpp.jsonl")],
        "pandalm": list(dict.fromkeys(instruction(row) for row in pandalm)),
        "dpo-prompts": [row["conversations"][0]["value"] for row in preferences],
        "dpo-summarize": ["Summarize: " + row["chosen"]["value"] for row in preferences],
    }


def mixture(data: Path, seed: int) -> list[dict[str, str]]:
    """The chosen prompts, shuffled; none whose text is a turn of Spec-Bench."""
    rng, rows = random.Random(seed), []
    for name, pool in pools(data).items():
        fitting = [text for text in pool if SHORTEST < len(text) < LONGEST]
        rng.shuffle(fitting)
        rows += [{"prompt": text, "source": name} for text in fitting[: MIXTURE[name]]]
    rng.shuffle(rows)
    with (data / "spec-bench/question.jsonl").open() as file:
        tests = {folded(turn) for line in file for turn in json.loads(line)["turns"]}
    return [row for row in rows if folded(row["prompt"]) not in tests]


def folded(text: str) -> str:
    """Lower case, white space collapsed."""
    return " ".join(text.lower().split())


def main() -> None:
    """Write the mixture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = mixture(options.data, options.seed)
    write_records(options.out, rows)
    print(f"{len(rows)} prompts in {options.out}")


if __name__ == "__main__":
    main()
