"""Every block of README and docs is checked against the real commands, and runs.

Commands run as they are shown, in one folder a page, on the stage of `tests/fixtures/stage.py`;
its tables say what is smaller there. A comment right before a fence, `<!-- file: NAME -->`, marks a
file of a walk-through. Targets of `make` that test run in the continuous integration: see
`test_inventory.py`.
"""

import ast
import contextlib
import importlib
import re
import shlex
import shutil
import time
import tomllib
from pathlib import Path

import pytest
from fixtures.inventory import IN_CI
from fixtures.pages import ROOT
from fixtures.stage import ADDED, FILES, FINDINGS, SERVERS

SHELL, PYTHON = {"bash", "console", "sh"}, {"python"}
SHOWN_ONLY = {"text", "json", "jsonl", "yaml", "toml", "html", "mermaid"}
MARKS = {"", "file"}
OTHERS = {"cat", "curl", "echo", "head", "ls", "mkdir", "torchrun", "unzip"}


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
    if name == "torchrun":  # its options, then a command that is no Python file
        return check_words(words[words.index("--no-python") + 1 :], help_of=help_of, root=root)
    if name == "make":
        targets = re.findall(r"^([a-z][\w-]*):", (root / "Makefile").read_text(), re.MULTILINE)
        wanted = [w for w in words[1:] if "=" not in w and not w.startswith("-")]
        return [f"make has no target {w!r}" for w in wanted if w not in targets]
    if name == "pip":
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
        extras = re.findall(r"(?:burnish|\.)\[([\w,]+)\]", " ".join(words))
        known = project["optional-dependencies"]
        return [f"no extra {e!r}" for text in extras for e in text.split(",") if e not in known]
    return [] if name in OTHERS else [f"nobody knows {name!r}: add it to test_blocks.py"]


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
        if block.language in SHELL:
            for command in block.commands:
                found += check_command(command.partition("\n")[0], help_of=help_of, root=root)
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


def test_blocks_run(running_page, blocks_of, stage, monkeypatch):
    """All blocks of a page run one after another, in one folder, as a reader would."""
    blocks = blocks_of(running_page.read_text())
    for block in blocks:
        if block.mark == "file" and block.reason not in FILES and "/" not in block.reason:
            (stage.folder / block.reason).write_text(block.text)
    for block in blocks:
        with contextlib.ExitStack() as behind:
            for command in block.commands:
                if any(f"burnish {name}" in command for name in SERVERS):
                    behind.enter_context(stage.serving(command))
                elif command.partition("#")[0].strip() not in IN_CI:
                    check_run(command, stage)
        if block.language in PYTHON and block.mark != "file":
            (stage.folder / "block.py").write_text(block.text)
            stage.prepare(block.text)
            check_run("python block.py", stage)


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SIZES = {"improve.py": "improve", "shorter_answers.py": "prefer train"}  # of the stage's table


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_examples_run(script, tiny_stage, tmp_path):
    stage = tiny_stage(tmp_path)
    stage.prepare(script.read_text())
    shutil.copy(script, tmp_path / "example.py")
    words = ADDED[SIZES[script.name]].words if script.name in SIZES else ""
    status, out, err = stage.run(f"python example.py {words}")
    assert status == 0 and out.strip(), f"{out}\n{err}"


def test_the_list_of_examples_is_complete(root):
    named = re.findall(r"^\| `(\w+\.py)` \|", (root / "examples/README.md").read_text(), re.M)
    assert sorted(named) == [path.name for path in EXAMPLES]


def check_run(command, stage):
    """Run one command of a page; a traceback of ours is a failure whatever the status."""
    if command.startswith("make "):
        prepare_make(stage.folder)
    begun = time.monotonic()
    status, out, err = stage.run(command)
    print(f"{time.monotonic() - begun:5.1f} s  status {status}  {command}")
    shown = f"{command}\n{out}\n{err}"
    allowed = {0, 1} if any(f"burnish {name}" in command for name in FINDINGS) else {0}
    if command.startswith("make demo"):
        allowed = {0, 2}  # make's own status where its command ends with 1: then a page is there
        assert list(stage.folder.glob("runs/*/result.json")) or "training set" in err, shown
    assert status in allowed and not re.search(r'File ".*/(burnish|block\.py)', err), shown
    assert out.strip() or command.startswith(("python", "cat >")), shown


def prepare_make(folder):
    """What `make` finds in a clone whose environment is made; `.venv` has the stage's commands."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    for name in (".runtime", ".dev", ".docs"):
        (folder / ".venv" / name).touch()


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
        ("torchrun --nproc-per-node 2 --no-python burnish improve -n 3", []),
        ("torchrun --no-python burnish imprve", ["`burnish ` has no command 'imprve'"]),
        ("frobnicate", ["nobody knows 'frobnicate': add it to test_blocks.py"]),
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
        "line 10: unknown mark 'no-test'",
        "line 10: nobody knows 'frobnicate': add it to test_blocks.py",
        "line 13: a block must name its language, is ''",
        "line 16: burnish.data.tasks has no nosuch",
    ]
