"""Claim: nothing that stood became slower: the same work by two source trees, in turns.

    git worktree add ../before COMMIT
    python benchmarks/before_after.py ../before [--rounds 9]

Each tree has one process that imports its own `src` and `benchmarks` and loads the embedded model
once; the two take turns cell by cell, and the first turn alternates. A ratio is the seconds before
over the seconds now, round by round: above 1 is faster now. `decode` writes 64 tokens behind a
short prompt, `batch` 32 tokens each behind eight, `prefill` reads 1,024; `recall` scores one length
of a curve for both sides, `prefer` is a DPO step (eight pairs, LoRA, fp32), `sandbox` runs twenty
programs. The process that waits sleeps.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
CELLS = ("decode", "batch", "prefill", "recall", "prefer", "sandbox")
SETTLE_S = 0.5  # the threads of the other process spin for 0.2 s behind its work
QUESTION = "Name three rivers in Europe and one fact about each of them."
TRUE = ("/usr/bin/true",)


class Work:
    """What one tree does; everything comes from the tree that PYTHONPATH names."""

    def __init__(self) -> None:
        from burnish.models.load import Model, load_model

        loaded = load_model("smollm2-135m", precision="bf16", device="cpu")
        self.model = Model(**{**vars(loaded), "eos_ids": frozenset()})
        prompt = [{"role": "user", "content": QUESTION}]
        render = loaded.tokenizer.apply_chat_template
        self.prompt = tuple(render(prompt, add_generation_prompt=True, return_dict=False))
        self.curve: Any = None

    def _generate(self, prompts: list[tuple[int, ...]], num_new: int) -> None:
        from burnish.contracts.generation import Request, Sampling
        from burnish.engine.generate import generate

        sampling = Sampling(max_new_tokens=num_new)
        requests = [Request(id=str(i), prompt=p, sampling=sampling) for i, p in enumerate(prompts)]
        done = generate(self.model, requests, batch_size=len(prompts))
        assert all(len(one.tokens) == num_new for one in done)

    def decode(self) -> float:
        """Seconds of one text."""
        return timed(lambda: self._generate([self.prompt], 64))

    def batch(self) -> float:
        """Seconds of eight texts."""
        prompts = [(*self.prompt, *self.prompt[:i]) for i in range(8)]
        return timed(lambda: self._generate(prompts, 32))

    def prefill(self) -> float:
        """Seconds to the first token of a long prompt."""
        long = (self.prompt * 40)[:1024]
        return timed(lambda: self._generate([long], 1))

    def recall(self) -> float:
        """Seconds of one length of a curve; what comes before it is read untimed."""
        import recall_curve

        from burnish.models.load import load_model

        if self.curve is None:
            model = load_model("smollm2-135m", precision="fp32", device="cpu")
            texts, _ = recall_curve.material(model.tokenizer, 512, 1), None
            self.curve = model, texts
        ours = recall_curve.Ours(*self.curve, "probe")
        ours.go_to(448)
        return timed(lambda: ours(512))

    def prefer(self) -> float:
        """Median seconds of a step."""
        import prefer_step

        return statistics.median(prefer_step.ours(3)["seconds"])

    def sandbox(self) -> float:
        """Seconds of twenty programs."""
        import sandbox_overhead

        return timed(lambda: [sandbox_overhead._ours(TRUE) for _ in range(20)])


def timed(call: Any) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def serve() -> None:
    """Do what each line of standard input names, and answer with its seconds."""
    answers, sys.stdout = sys.stdout, sys.stderr
    work = Work()
    for line in sys.stdin:
        print(json.dumps(getattr(work, line.strip())()), file=answers, flush=True)


class Tree:
    """The process of one source tree."""

    def __init__(self, folder: Path, named: Path) -> None:
        write_entry_points(folder, named)  # the installed ones are those of one tree
        places = [folder / "src", folder / "benchmarks", named]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
        environment["PYTHONSAFEPATH"] = "1"  # not this file's folder, which is the newer tree's
        self.process = subprocess.Popen(
            [sys.executable, HERE, "--serve", folder], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, cell: str) -> float:
        """Seconds of one cell."""
        assert self.process.stdin is not None and self.process.stdout is not None
        time.sleep(SETTLE_S)
        print(cell, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"The process ended at {cell}.")
        return float(answer)


def write_entry_points(folder: Path, place: Path) -> None:
    """The tree's own entry points, found before those of the installed package."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    told = place / "burnish-0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: burnish\nVersion: 0\n")
    lines = []
    for group, entries in project.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (told / "entry_points.txt").write_text("\n".join(lines))


def measure(before: Tree, now: Tree, cells: list[str], rounds: int) -> dict[str, Any]:
    """Seconds of both and their ratios, round by round, the first turn alternating."""
    from recording import median

    found: dict[str, Any] = {}
    for cell in cells:
        for tree in (before, now):
            tree(cell)  # warm
        took: dict[str, list[float]] = {"before": [], "now": []}
        for turn in range(rounds):
            sides = [("before", before), ("now", now)]
            for name, tree in sides if turn % 2 else reversed(sides):
                took[name].append(tree(cell))
        pairs = zip(took["before"], took["now"], strict=True)
        ratio = median([old / new for old, new in pairs])
        found[cell] = {f"{name}_s": median(values) for name, values in took.items()}
        found[cell]["ratio"] = ratio
        print(f"{cell}: {ratio['value']:.2f}x [{ratio['low']:.2f}, {ratio['high']:.2f}]")
    return found


def main() -> None:
    """Measure all cells, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="a checkout of the older commit")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    from recording import save

    older = ["git", "-C", str(options.before), "rev-parse", "HEAD"]
    commit = subprocess.run(older, capture_output=True, text=True, check=True).stdout.strip()
    with contextlib.ExitStack() as ends:
        place = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        folders = {"before": options.before.resolve(), "now": HERE.parents[1]}
        trees = [Tree(folder, place / name) for name, folder in folders.items()]
        for tree in trees:
            ends.callback(tree.process.kill)
        found = measure(*trees, options.cells, options.rounds)
    save("before_after", {"before": commit, "rounds": options.rounds, **found})


if __name__ == "__main__":
    main()
