"""The references are generated, and the navigation names pages that exist."""

import re


def test_the_reference_is_up_to_date(root):
    from burnish.cli.reference import render

    written = (root / "docs/reference/cli.md").read_text()
    remedy = "run `python -m burnish.cli.reference > docs/reference/cli.md`"
    assert written == render(), remedy


def test_the_python_reference_and_the_stubs_are_up_to_date(root):
    from burnish.cli.api import files

    stale = [str(path) for path, text in files().items() if (root / path).read_text() != text]
    assert stale == [], "run `python -m burnish.cli.api`"


def test_the_python_reference_names_every_command(root, all_commands, help_of):
    text = (root / "docs/reference/python.md").read_text()
    leaves = [words for words in all_commands if words and not help_of(words).commands]
    missing = [c for words in leaves if f"### {(c := '.'.join(['burnish', *words]))}\n" not in text]
    assert missing == []


def test_the_reference_names_every_command(root, all_commands):
    text = (root / "docs/reference/cli.md").read_text()
    missing = [c for words in all_commands if (c := " ".join(["burnish", *words])) not in text]
    assert missing == []


def test_the_navigation_is_complete(root):
    pages = {p.relative_to(root / "docs").as_posix() for p in (root / "docs").rglob("*.md")}
    named = set(re.findall(r"[\w/-]+\.md", (root / "mkdocs.yml").read_text()))
    assert named == pages
