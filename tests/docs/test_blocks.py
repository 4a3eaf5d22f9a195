"""Every block of README and docs is checked against the real commands, and runs.

A comment right before a fence, `<!-- mark: reason -->`, says what is to be done otherwise:
`no-test` leaves the block out altogether; `checked-only` checks its commands and imports but never
runs them; `file` (the reason is a path) marks a file of a walk-through. Blocks that install
(`make`, `pip`, `git`) are checked only, because CI itself is that run.
"""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

SHELL, PYTHON = {"bash", "console", "sh"}, {"python"}
SHOWN_ONLY = {"text", "json", "jsonl", "yaml", "toml", "html", "mermaid"}
MARKS = {"", "no-test", "checked-only", "file"}
INSTALLERS = {"make", "pip", "git", "cd", "uv", "docker", "pre-commit", "python3"}
OTHERS = {"cat", "echo", "ls", "mkdir", "export", "curl", "head", "unzip", "python", "pytest"}


def commands_in(block) -> list[str]:
    """The commands of a shell block; of a console block only what follows `$ `."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    text = re.sub(r"(<<-?\s*'?(\w+)'?.*?\n).*?^\2$", r"\1", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for line in text.splitlines()]
    if block.language == "console":
        return [line[2:] for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith("#")]


def check_command(line: str, *, help_of, root: Path) -> list[str]:
    """What is wrong with one shell line: unknown commands, options, make targets, extras."""
    findings = []
    shell = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    shell.whitespace_split, shell.commenters = True, "#"
    words: list[str] = []
    for word in [*shell, ";"]:
        if set(word) <= set(";&|"):
            findings += check_words(words, help_of=help_of, root=root) if words else []
            words = []
        else:
            words.append(word)
    return findings


def check_words(words: list[str], *, help_of, root: Path) -> list[str]:
    """What is wrong with one simple command."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # NAME=value before a command
        words = words[1:]
    if not words:
        return []
    name = words[0].removeprefix(".venv/bin/")
    if name == "burnish":
        return check_burnish(words[1:], help_of)
    if name == "make":
        targets = re.findall(r"^([a-z][\w-]*):", (root / "Makefile").read_text(), re.MULTILINE)
        wanted = [w for w in words[1:] if "=" not in w and not w.startswith("-")]
        return [f"make has no target {w!r}" for w in wanted if w not in targets]
    if name == "pip":
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
        extras = re.findall(r"(?:burnish|\.)\[([\w,]+)\]", " ".join(words))
        known = project["optional-dependencies"]
        return [f"no extra {e!r}" for text in extras for e in text.split(",") if e not in known]
    known = name in INSTALLERS | OTHERS
    return [] if known else [f"nobody checks {name!r}; mark the block `<!-- no-test: reason -->`"]


def check_burnish(words: list[str], help_of) -> list[str]:
    """Commands and options of ours that do not exist."""
    path: tuple[str, ...] = ()
    rest = list(words)
    while rest and help_of(path).commands and not rest[0].startswith("-"):
        if rest[0] not in help_of(path).commands:
            return [f"`burnish {' '.join(path)}` has no command {rest[0]!r}"]
        path += (rest.pop(0),)
    options = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    unknown = sorted(options - help_of(path).options - {"--help"})
    return [f"`burnish {' '.join(path)}` has no option {option}" for option in unknown]


def check_python(text: str) -> list[str]:
    """Names of ours that a Python block imports and that do not exist."""
    findings = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "burnish":
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                if not hasattr(module, name):
                    findings.append(f"{node.module} has no {name}")
    return findings


def check_page(text: str, *, blocks_of, help_of, root: Path) -> list[str]:
    """Everything that is wrong with a page, by line."""
    findings = []
    for block in blocks_of(text):
        found = []
        if block.mark not in MARKS:
            found.append(f"unknown mark {block.mark!r}")
        if block.mark == "no-test":
            continue
        if block.language in SHELL:
            for line in commands_in(block):
                found += check_command(line, help_of=help_of, root=root)
        elif block.language in PYTHON:
            found += check_python(block.text)
        elif block.language not in SHOWN_ONLY:
            found.append(f"a block must name its language, is {block.language!r}")
        findings += [f"line {block.line}: {x}" for x in found]
    return findings


def test_commands_and_imports_exist(page, blocks_of, help_of, root):
    text = page.read_text()
    assert check_page(text, blocks_of=blocks_of, help_of=help_of, root=root) == []


def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text())
    local = [t for t in targets if not re.match(r"[a-z]+:", t)]
    assert [t for t in local if not (page.parent / t).exists()] == []


@pytest.mark.weights
@pytest.mark.timeout(1800)
def test_blocks_run(page, blocks_of, tmp_path):
    """All blocks of a page run one after another, in one folder, as a reader would."""
    os.environ.pop("HF_HUB_OFFLINE", None)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks_of(page.read_text()):
        commands = commands_in(block) if block.language in SHELL else []
        installs = any(c.split()[0] in INSTALLERS for c in commands)
        if block.mark or installs or block.language not in SHELL | PYTHON:
            continue
        code = "\n".join(commands) if block.language == "console" else block.text
        shell = ["bash", "-euo", "pipefail", "-c", code]
        command = shell if block.language in SHELL else [sys.executable, "-c", code]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"line {block.line}:\n{code}\n{done.stdout}\n{done.stderr}"


class ToyHelp:
    """A command line with `improve [--rounds]` and `models list [--json]`."""

    PAGES = {  # noqa: RUF012
        (): (["improve", "models"], {"--version"}),
        ("improve",): ([], {"--rounds", "-n"}),
        ("models",): (["list"], set()),
        ("models", "list"): ([], {"--json"}),
    }

    def __init__(self, words=()):
        self.commands, self.options = self.PAGES[words]


@pytest.mark.parametrize(
    ("line", "findings"),
    [
        ("burnish improve smollm2-135m --rounds 2 -n 3", []),
        ("CUDA_VISIBLE_DEVICES=0 .venv/bin/burnish models list --json | head -3", []),
        ("burnish --version && burnish improve --rounds=2", []),
        ("burnish improve 'a --planted b'  # --planted", []),
        ("burnish imprve", ["`burnish ` has no command 'imprve'"]),
        ("burnish models lst", ["`burnish models` has no command 'lst'"]),
        ("burnish improve --round 2", ["`burnish improve` has no option --round"]),
        ("burnish models list; burnish improve --jsn", ["`burnish improve` has no option --jsn"]),
        ("make demo", []),
        ("make dmo", ["make has no target 'dmo'"]),
        ('pip install "burnish[ray]"', []),
        ('pip install "burnish[rya]"', ["no extra 'rya'"]),
        ("frobnicate", ["nobody checks 'frobnicate'; mark the block `<!-- no-test: reason -->`"]),
    ],
)
def test_planted_commands(line, findings, root):
    assert check_command(line, help_of=ToyHelp, root=root) == findings


def test_planted_pages(blocks_of, root):
    page = "Text.\n\n```console\n$ burnish improve \\\n    --rund 2\n--not-a-command\n```\n"
    page += "\n<!-- no-test: not ours -->\n```bash\nfrobnicate\n```\n```\nwhat am I\n```\n"
    page += "```python\nfrom burnish.data.tasks import nosuch\n```\n"
    page += "```bash\ncat > a.txt <<'EOF'\nburnish nosuch\nEOF\nburnish models list --json\n```\n"
    assert check_page(page, blocks_of=blocks_of, help_of=ToyHelp, root=root) == [
        "line 3: `burnish improve` has no option --rund",
        "line 13: a block must name its language, is ''",
        "line 16: burnish.data.tasks has no nosuch",
    ]
