"""Every documented command has a test that runs it, and the list does not shrink."""

from fixtures.inventory import IN_CI, documented_commands, render

LEAST = 56  # raise it when commands are added; it never falls


def runs_for_real(command: str) -> bool:
    """Help and plans do not count as running."""
    return not any(word in ("--help", "--dry-run") for word in command.split())


def test_the_list_is_up_to_date_and_does_not_shrink(root):
    written = (root / "tests/docs/documented-commands.md").read_text()
    assert written == render(), "run `python tests/fixtures/inventory.py > tests/docs/doc..."
    assert sum(runs_for_real(command) for _, command, _ in documented_commands()) >= LEAST


def test_every_command_of_the_shell_is_shown_and_runs(help_of, all_commands):
    """In a block: a help page alone shows a reader what to type, and nothing that was run."""
    shown = [command for _, command, _ in documented_commands() if runs_for_real(command)]
    leaves = [words for words in all_commands if words and not help_of(words).commands]
    missing = [w for w in leaves if not any(" ".join(("burnish", *w)) in c for c in shown)]
    assert missing == []


def test_targets_of_make_run_in_the_continuous_integration(root):
    """`make test-all` is `make test` with CI=true; `make lint` is a part of both."""
    script = (root / ".ci/run").read_text()
    makefile = (root / "Makefile").read_text()
    assert "export CI=true" in script and "test: lint" in makefile
    assert "$(MAKE) test CI=true" in makefile
    for target in set(IN_CI) - {"make test-all", "make lint"}:
        assert target in script
