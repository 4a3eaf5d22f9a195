"""Further test files for `sandbox_detect.py`, arranged from five repositories.

    python benchmarks/language_detection/sets.py OUT REPOSITORIES

`REPOSITORIES` is a folder with clones (bare ones will do) of rouge-ruby/rouge,
highlightjs/highlight.js, sharkdp/bat, alecthomas/chroma and github-linguist/linguist, named
`rouge`, `highlight.js`, `bat`, `chroma` and `linguist`. Below OUT come four sets, each with a
folder for a language: `programs` (rouge's demos, highlight.js's test/detect, bat's
tests/syntax-tests/source, chroma's lexers/testdata), `snippets` (highlight.js's test/markup),
`linguist-any-extension` (linguist's samples) and `linguist`, those with an extension that the
training text had.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from language_detection.corpus import EXTENSIONS

NAMES = {  # of our languages, as each repository writes them
    "bash": ("bash", "shell"), "c": ("c",), "cpp": ("cpp", "c++"),
    "csharp": ("csharp", "c-sharp", "c#"), "go": ("go",), "java": ("java",),
    "javascript": ("javascript",), "lua": ("lua",), "perl": ("perl",), "php": ("php",),
    "python": ("python", "python2"), "r": ("r",), "ruby": ("ruby",), "rust": ("rust",),
    "typescript": ("typescript",),
}  # fmt: skip
LANGUAGE = {name: language for language, names in NAMES.items() for name in names}
FOLDERS = {  # of a repository: its set, the folder, and what of a path names the language
    "rouge": ("programs", "lib/rouge/demos", r"([^/]+)"),
    "highlight.js": ("programs", "test/detect", r"([^/]+)/.+"),
    "highlight.js markup": ("snippets", "test/markup", r"([^/]+)/.+(?<!\.expect\.txt)"),
    "bat": ("programs", "tests/syntax-tests/source", r"([^/]+)/.+"),
    "chroma": ("programs", "lexers/testdata", r"([^/.]+)(?:/[^/]+)?\.actual"),
    "linguist": ("linguist-any-extension", "samples", r"([^/]+)/[^/]+"),
}
NOT_PROGRAMS = re.compile(r"LICENSE|README|/filenames/", re.IGNORECASE)


def files(repository: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Path in the folder, and bytes, of each file at the newest commit."""

    def git(*words: str) -> bytes:
        return subprocess.run(
            ["git", "-C", str(repository), *words], check=True, capture_output=True
        ).stdout

    listed = git("ls-tree", "-r", "--name-only", "-z", "HEAD", f"{folder}/").decode()
    for name in listed.split("\0"):
        if name and not NOT_PROGRAMS.search(name):
            yield name.removeprefix(f"{folder}/"), git("show", f"HEAD:{name}")


def main(out: Path, repositories: Path) -> None:
    """Write all sets."""
    for source, (kind, folder, pattern) in FOLDERS.items():
        repository = repositories / source.partition(" ")[0]
        for name, body in files(repository, folder):
            match = re.fullmatch(pattern, name)
            language = LANGUAGE.get(match[1].casefold()) if match else None
            if language is None:
                continue
            kinds = [kind]
            if kind.startswith("linguist") and Path(name).suffix in EXTENSIONS[language]:
                kinds.append("linguist")
            for one in kinds:
                path = out / one / language / f"{source}-{name}".replace("/", "-")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(body)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
