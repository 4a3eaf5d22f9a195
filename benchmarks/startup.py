"""Claims: loading the cached model takes under 1.5 s; `--help` under 0.3 s, without torch.

Whole processes are timed for `--help`; loading is timed inside a process that has imported torch
and transformers, and beside transformers' own loading of the same folder.
"""

import subprocess
import sys
import time

import torch
from recording import median, save
from transformers import AutoModelForCausalLM, AutoTokenizer

from burnish.models.load import load_model

REPEATS = 7


def main() -> None:
    """Measure both claims."""
    rows = {}
    for words in (["--help"], ["improve", "--help"], ["models", "--help"]):
        command = [sys.executable, "-m", "burnish.cli.main", *words]
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        rows[" ".join(["burnish", *words])] = median(seconds)
    folder = load_model("smollm2-135m").folder
    mine, theirs = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        load_model("smollm2-135m", precision="bf16")
        mine.append(time.perf_counter() - start)
        start = time.perf_counter()
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        AutoTokenizer.from_pretrained(folder)
        theirs.append(time.perf_counter() - start)
    rows["load_s"], rows["transformers_load_s"] = median(mine), median(theirs)
    for name, row in rows.items():
        print(f"{name}: {row['value']:.3f} s [{row['low']:.3f}, {row['high']:.3f}]")
    save("startup", rows)


if __name__ == "__main__":
    main()
