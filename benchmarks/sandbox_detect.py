"""Claim: at five lines or more, at least 95% of the files in Pygments' source package are named.

The files are the examples of our fifteen languages in Pygments' source distribution: nobody here
wrote them, and none was in the training text. Ours, Magika and Pygments' `guess_lexer` read the
same texts, whole and cut after k lines; an abstention counts as wrong. Beside it stands how many of
the package's examples in none of the fifteen languages are given a name all the same.

    pip download --no-deps --no-binary :all: Pygments -d /tmp/pygments
    tar xzf /tmp/pygments/*.tar.gz -C /tmp/pygments
    python -m venv /tmp/peers && /tmp/peers/bin/pip install magika pygments
    python benchmarks/sandbox_detect.py /tmp/pygments/pygments-* --peers /tmp/peers/bin/python

`--more NAME=FOLDER` measures further files, whole, in a folder for each language. The results have
the four sets that `language_detection/sets.py` arranges.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy as np
from language_detection.train import calibration_error
from recording import save

from burnish.base.stats import wilson
from burnish.sandbox.detection import detect

FOLDERS = {  # Pygments' names of our languages
    "bash": ("bash", "sh"), "c": ("c",), "cpp": ("cpp", "c++"), "csharp": ("csharp", "c#"),
    "go": ("go",), "java": ("java",), "javascript": ("js", "javascript"), "lua": ("lua",),
    "perl": ("perl",), "php": ("php",), "python": ("python", "python2"),
    "r": ("splus", "r"), "ruby": ("rb", "ruby"), "rust": ("rust",),
    "typescript": ("ts", "typescript"),
}  # fmt: skip
DIALECTS = (  # of our languages, or texts that hold programs in them
    "html+php", "psql", "psysh", "jsx", "tsx", "js.in", "javascript+mozpreproc", "console", "tcsh",
    "pycon", "pytb", "py2tb", "pypylog", "cython", "numpy", "sage", "luau", "rconsole", "rbcon",
    "perl6", "cuda", "arduino", "objective-c", "objective-j", "nesc", "ec", "ragel-cpp", "charmci",
    "swig", "slurm", "sh-session", "control", "nodejsrepl", "rhtml", "xonsh", "conftest.py",
)  # fmt: skip
LENGTHS = (1, 2, 5, 10, 20, None)
PEERS = """
import json, sys, time
from magika import Magika
from pygments.lexers import guess_lexer
from pygments.util import ClassNotFound
names = {"shell": "bash", "cs": "csharp"}
magika, rows = Magika(), []
for text in json.load(sys.stdin):
    start = time.perf_counter()
    label = magika.identify_bytes(text.encode()).output.label
    middle = time.perf_counter()
    try:
        aliases = guess_lexer(text).aliases
    except ClassNotFound:
        aliases = []
    rows.append([names.get(label, label), list(aliases), middle - start,
                 time.perf_counter() - middle])
json.dump(rows, sys.stdout)
"""


def examples(package: Path) -> list[tuple[str, str, str]]:
    """Language, name and text of each example with at least five lines that are not empty."""
    rows = []
    for language, folders in FOLDERS.items():
        for folder in folders:
            for path in sorted((package / "tests" / "examplefiles" / folder).glob("*")):
                if path.suffix == ".output" or not path.is_file():
                    continue
                text = path.read_bytes().decode("utf-8", "replace")
                if sum(bool(line.strip()) for line in text.splitlines()) >= 5:
                    rows.append((language, f"{folder}/{path.name}", text))
    return rows


def foreign(package: Path) -> list[tuple[str, str]]:
    """Folder and text of the examples in none of our languages, nor in dialects of them."""
    ours = {name for folders in FOLDERS.values() for name in folders} | set(DIALECTS)
    rows = []
    for folder in sorted((package / "tests" / "examplefiles").iterdir()):
        if folder.name in ours or not folder.is_dir():
            continue
        for path in sorted(folder.glob("*")):
            if path.suffix == ".output" or not path.is_file() or path.stat().st_size > 20_000:
                continue
            text = path.read_bytes().decode("utf-8", "replace")
            if sum(bool(line.strip()) for line in text.splitlines()) >= 5:
                rows.append((folder.name, text))
    return rows


def false_names(package: Path) -> dict:
    """How many texts in none of our languages are given a name, and which."""
    rows = foreign(package)
    named = [(folder, found) for folder, text in rows if (found := detect(text).language)]
    return share([True] * len(named) + [False] * (len(rows) - len(named))) | {
        "num_files": len(rows), "named": named
    }  # fmt: skip


def files_of(folder: Path) -> list[tuple[str, str, str]]:
    """Language, name and text of each file in the folders of the languages, five lines or more."""
    rows = []
    for language in FOLDERS:
        for path in sorted((folder / language).glob("*")):
            text = path.read_bytes().decode("utf-8", "replace")
            if sum(bool(line.strip()) for line in text.splitlines()) >= 5:
                rows.append((language, f"{language}/{path.name}", text))
    return rows


def cut(text: str, length: int | None) -> str:
    """The first `length` lines that are not empty, with those between."""
    lines, kept = text.splitlines(), 0
    for i, line in enumerate(lines):
        kept += bool(line.strip())
        if kept == length:
            return "\n".join(lines[: i + 1])
    return text


def share(right: list[bool]) -> dict[str, float]:
    """The fraction that is right, with Wilson's interval."""
    return wilson(sum(right), len(right)).to_dict()


def measure(rows: list[tuple[str, str, str]], length: int | None, peers: str) -> dict:
    """One length: the accuracy of all three, and seconds a file."""
    texts = [cut(text, length) for _, _, text in rows]
    truth = [language for language, _, _ in rows]
    start = time.perf_counter()
    ours = [detect(text) for text in texts]
    seconds = (time.perf_counter() - start) / len(texts)
    named = [found.language for found in ours]
    best = [found.candidates[0][0] for found in ours]
    right = [a == b for a, b in zip(named, truth, strict=True)]
    found = {"ours": share(right) | {"seconds": seconds, "abstained": named.count(None)}}
    found["ours"]["best guess"] = share([a == b for a, b in zip(best, truth, strict=True)])
    sure = np.array([f.candidates[0][1] for f in ours])
    hit = np.array([a == b for a, b in zip(best, truth, strict=True)])
    found["ours"]["calibration_error_frac"] = calibration_error(sure, hit)
    found["ours"]["wrong"] = [
        [rows[i][1], named[i], round(ours[i].confidence, 3)]
        for i in range(len(rows))
        if not right[i]
    ]
    if peers:
        done = subprocess.run(
            [peers, "-c", PEERS],
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            check=True,
        )
        others = json.loads(done.stdout)
        found["magika"] = share([o[0] == t for o, t in zip(others, truth, strict=True)])
        aliases = [bool(set(o[1]) & {t, *FOLDERS[t]}) for o, t in zip(others, truth, strict=True)]
        found["pygments"] = share(aliases)
        found["magika"]["seconds"] = float(np.mean([o[2] for o in others]))
        found["pygments"]["seconds"] = float(np.mean([o[3] for o in others]))
    return found


def peer_versions(python: str) -> list[str]:
    """Names and versions of the peers, as their own Python says."""
    code = "from importlib.metadata import version as v; print(v('magika'), v('pygments'))"
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    return [f"{n} {v}" for n, v in zip(("magika", "pygments"), told.split(), strict=True)]


def main() -> None:
    """Measure every length, print a table, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--peers", default="", help="a Python that has magika and pygments")
    parser.add_argument("--more", action="append", default=[], metavar="NAME=FOLDER")
    arguments = parser.parse_args()
    rows = examples(arguments.package)
    detect("warm = 1\n")
    results = {}
    for length in LENGTHS:
        name = "whole" if length is None else f"{length} lines"
        results[name] = measure(rows, length, arguments.peers)
        show(name, len(rows), results[name])
    more = {}
    for name, _, folder in (given.partition("=") for given in arguments.more):
        others = files_of(Path(folder))
        more[name] = {"num_files": len(others)} | measure(others, None, arguments.peers)
        show(name, len(others), more[name])
    falsely = false_names(arguments.package)
    print("false names", falsely["num_files"], round(falsely["value"], 3), flush=True)
    found = {"num_files": len(rows), "lengths": results, "more": more, "false_names": falsely}
    save("sandbox_detect", found, peers=peer_versions(arguments.peers) if arguments.peers else ())


def show(name: str, num_files: int, found: dict) -> None:
    """One line: who named which fraction."""
    shares = {who: round(one["value"], 3) for who, one in found.items() if who != "num_files"}
    print(name, num_files, shares, flush=True)


if __name__ == "__main__":
    main()
