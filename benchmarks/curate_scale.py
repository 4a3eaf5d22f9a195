"""Claim: at scale, TLI reads 20 MB of text a second and core, and all static views together 2 MB.

A pool of `--rows` rows is made of GPTeacher's code instructions, each with some of its words
exchanged for words of other rows, so that no two are equal; the benchmark is HumanEval. Timed in
processor seconds of one thread, in turns: TLI alone (on instructions, as `compute_TLI.py` does),
and the three static views; bytes are those of the text that each reads. And the whole command
`curate leakage` without runs, in processes of their own, on a tenth of the rows and on all of
them: its peak memory, which holds ids, scores and hits of every row, but no text. Needs
../shared/data/code.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import run
from typing import Any

from recording import median, save

from burnish.base.rng import stream
from burnish.curate.pool import PoolReport, read_pool
from burnish.curate.scan import BLOCK_ROWS, collect
from burnish.curate.tli import TestLeakage
from burnish.curate.views import static_views
from burnish.data.benchmarks import load_benchmark

CODE = Path(__file__).parents[2] / "shared/data/code"
EXCHANGED = 0.15  # of a row's words


def rows_of(num: int) -> Iterator[dict[str, Any]]:
    """Rows of the pool, all different."""
    samples = read_pool(CODE / "gpteacher-codegen.json", PoolReport())
    real = [(sample.question, sample.answer) for sample in samples]
    words = sorted({word for pair in real for text in pair for word in text.split(" ") if word})
    rng = stream(0, "scale")

    def changed(text: str) -> str:
        parts = text.split(" ")
        for place in rng.integers(0, len(parts), round(EXCHANGED * len(parts))):
            parts[place] = words[rng.integers(0, len(words))]
        return " ".join(parts)

    for number in range(num):
        question, answer = real[number % len(real)]
        yield {"id": number, "instruction": changed(question), "output": changed(answer)}


def speeds(rows: Sequence[dict[str, Any]], repeats: int) -> dict[str, Any]:
    """Megabytes a processor second, of TLI and of the static views, in turns."""
    items = load_benchmark("humaneval")
    views, questions = static_views(items), [row["instruction"] for row in rows]
    texts = [row["instruction"] + "\n" + row["output"] for row in rows]
    found: dict[str, list[float]] = {"tli": [], "static views": []}
    for _ in range(repeats):
        tli = TestLeakage([item.prompt for item in items])
        began = time.process_time()
        for _ in tli.add(questions):
            pass
        seconds = time.process_time() - began
        found["tli"].append(sum(len(t.encode()) for t in questions) / 1e6 / seconds)
        began = time.process_time()
        collect(views, (texts[i : i + BLOCK_ROWS] for i in range(0, len(texts), BLOCK_ROWS)))
        seconds = time.process_time() - began
        found["static views"].append(sum(len(t.encode()) for t in texts) / 1e6 / seconds)
    return {name: median(values) for name, values in found.items()}


def peak(num: int) -> dict[str, Any]:
    """Peak memory and seconds of `curate leakage` on so many rows, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        with pool.open("w") as file:
            for row in rows_of(num):
                file.write(json.dumps(row) + "\n")
        began = time.perf_counter()
        command = [sys.executable, __file__, "--command", str(pool)]
        told = run(command, check=True, capture_output=True, text=True, cwd=folder).stdout
        seconds, size = time.perf_counter() - began, pool.stat().st_size
        return {"rows": num, "pool_bytes": size, "peak_bytes": int(told.split()[-1]),
                "seconds": seconds}  # fmt: skip


def command(pool: Path) -> None:
    """What `curate leakage POOL --benchmark humaneval --set run=false` does; prints the peak."""
    from burnish.curate.leakage_job import find_leakage
    from burnish.curate.settings import LeakageSettings

    find_leakage(LeakageSettings(pool=str(pool), benchmarks=("humaneval",), run=False), None)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    """Time, then measure memory."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--timed-rows", type=int, default=20_000)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--command", type=Path, help="used by itself: the pool of one process")
    given = options.parse_args()
    if given.command is not None:
        command(given.command)
        return
    found: dict[str, Any] = {"mb_per_s": speeds(list(rows_of(given.timed_rows)), given.repeats)}
    found["memory"] = [peak(num) for num in (given.rows // 10, given.rows)]
    for name, one in found["mb_per_s"].items():
        print(f"{name}: {one['value']:.2f} MB/s [{one['low']:.2f}, {one['high']:.2f}]")
    for one in found["memory"]:
        print(f"{one['rows']} rows: {one['peak_bytes'] / 1e6:.0f} MB, {one['seconds']:.0f} s")
    save("curate_scale", found)


if __name__ == "__main__":
    main()
