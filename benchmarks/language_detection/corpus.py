"""The training text of language detection: windows of files whose extension says what they are."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from burnish.sandbox.detect_features import OTHER

EXTENSIONS = {
    "bash": (".sh", ".bash"), "c": (".c",), "cpp": (".cpp", ".cc", ".cxx", ".hpp", ".C"),
    "csharp": (".cs",), "go": (".go",), "java": (".java",), "javascript": (".js", ".mjs", ".cjs"),
    "lua": (".lua", ".nse"), "perl": (".pl", ".pm", ".t"), "php": (".php",), "python": (".py",),
    "r": (".R", ".r"), "ruby": (".rb", ".rake"), "rust": (".rs",), "typescript": (".ts",),
    OTHER: (
        ".md", ".rst", ".txt", ".json", ".html", ".htm", ".css", ".xml", ".yml", ".yaml", ".toml",
        ".m4", ".tcl", ".el", ".f90", ".f", ".adb", ".ads", ".d", ".m", ".sql", ".hs", ".ml", ".S",
        ".s", ".tex", ".ini", ".cfg", ".cmake", ".am", ".texi", ".scala", ".kt", ".swift", ".awk",
        ".def", ".po", ".csv", ".diff", ".patch", ".mk", ".mod", ".scm", ".clj", ".vim", ".pas",
    ),
}  # fmt: skip
MAX_BYTES, MAX_LINE = 200_000, 200  # longer lines on average: generated or minified
WINDOW_LINES = (1, 2, 3, 5, 8, 12, 20, 40, 80)
WHOLE_LINES = 300  # files up to this length are also taken whole


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A window of a file. `group` is its package: the first folder below the root of the corpus.

    `whole` says that it is a file from its first line to its last, as programs are. Of the other
    windows, half begin and end between top-level definitions, and half anywhere.
    """

    code: str
    language: str
    group: str
    whole: bool


@dataclass(frozen=True, kw_only=True)
class CorpusFile:
    """A file and its package."""

    path: Path
    group: str


def corpus_files(roots: Sequence[Path], limit: int, seed: int) -> dict[str, list[CorpusFile]]:
    """At most `limit` files a language, as evenly as possible from all packages and folders."""
    by_suffix = {suffix: name for name, suffixes in EXTENSIONS.items() for suffix in suffixes}
    found: dict[str, dict[str, dict[str, list[CorpusFile]]]] = {name: {} for name in EXTENSIONS}
    for root in roots:
        for folder, inner, names in os.walk(root):
            inner.sort()
            group = Path(folder).relative_to(root).parts[:1]
            for name in sorted(names):
                language = by_suffix.get(os.path.splitext(name)[1])
                if language and group and not name.endswith((".min.js", ".d.ts")):
                    by_folder = found[language].setdefault(group[0], {})
                    file = CorpusFile(path=Path(folder, name), group=group[0])
                    by_folder.setdefault(folder, []).append(file)
    rng, chosen = np.random.default_rng(seed), {}
    for language, by_group in found.items():
        queues = []
        for by_folder in by_group.values():
            inside = [
                [files[i] for i in rng.permutation(len(files))] for files in by_folder.values()
            ]
            queues.append(_round_robin(inside, limit)[::-1])
        chosen[language] = _round_robin([queues[i] for i in rng.permutation(len(queues))], limit)
    return chosen


def samples_of(files: dict[str, list[CorpusFile]], *, windows: int, seed: int) -> Iterator[Sample]:
    """Windows of random length at random places; each content once."""
    rng, seen = np.random.default_rng(seed), set()
    for language, listed in files.items():
        for file in listed:
            path = file.path
            code = _readable(path)
            digest = hashlib.sha256(code.encode()).digest()
            if not code or digest in seen:
                continue
            seen.add(digest)
            lines, group = code.splitlines(), file.group
            for number in range(windows):
                whole = number % 2 == 0
                entire = number == 0 and len(lines) <= WHOLE_LINES
                part = lines if entire else _window(lines, rng, whole=whole)
                text = "\n".join(part)
                if len(text.split()) >= 2:
                    yield Sample(code=text, language=language, group=group, whole=entire)


def _window(lines: list[str], rng: np.random.Generator, *, whole: bool) -> list[str]:
    size = int(rng.choice(WINDOW_LINES))
    start = int(rng.integers(0, max(len(lines) - size, 0) + 1))
    end = min(start + size, len(lines))
    if whole:
        while start > 0 and not _is_border(lines, start):
            start -= 1
        while end < len(lines) and not _is_border(lines, end):
            end += 1
    return lines[start : min(end, start + WHOLE_LINES)]


def _is_border(lines: list[str], i: int) -> bool:
    """Whether a new top-level definition seems to begin at line `i`."""
    return not lines[i - 1].strip() and bool(lines[i].strip()) and not lines[i][0].isspace()


def held_out_groups(samples: Sequence[Sample], *, frac: float = 0.2) -> set[str]:
    """Packages that calibrate and report, not train: at most this share of each language.

    Files of one package speak alike; only packages that were not seen tell what strangers do.
    """
    sizes: dict[str, Counter[str]] = {}
    for sample in samples:
        sizes.setdefault(sample.group, Counter())[sample.language] += 1
    room = Counter({n: frac * c for n, c in Counter(s.language for s in samples).items()})
    chosen = set()
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if all(room[name] >= size for name, size in sizes[group].items()):
            room.subtract(sizes[group])
            chosen.add(group)
    return chosen


def _round_robin(queues: list[list[CorpusFile]], limit: int) -> list[CorpusFile]:
    picked: list[CorpusFile] = []
    while queues and len(picked) < limit:
        picked += [queue.pop() for queue in queues]
        queues = [queue for queue in queues if queue]
    return picked[:limit]


def _readable(path: Path) -> str:
    try:
        if not 20 <= path.stat().st_size <= MAX_BYTES:
            return ""
        code = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # not a text in UTF-8: no sample
    return code if len(code) <= MAX_LINE * max(code.count("\n"), 1) else ""
