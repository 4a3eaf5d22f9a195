"""`burnish`: assembles the commands, and turns errors into one sentence and an exit status."""

import os
import sys

import typer

import burnish
from burnish.base.errors import BurnishError
from burnish.base.progress import set_quiet
from burnish.cli import (
    doctor,
    draft,
    improve,
    models,
    prefer,
    recall,
    report,
    sandbox,
    text,
    verify,
)
from burnish.distrib.rank import is_main, rank

INTERRUPTED = 130


def make_app() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        name="burnish",
        help="Improve an open language model on work that can be checked, and prove it got better.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in (improve, text, doctor, verify):
        app.add_typer(module.app)
    app.add_typer(models.app, name="models")
    app.add_typer(report.app, name="report")
    app.add_typer(sandbox.app, name="sandbox")
    app.add_typer(draft.app, name="draft")
    app.add_typer(recall.app, name="recall")
    app.add_typer(prefer.app, name="prefer")

    @app.callback()
    def burnish_options(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ) -> None:
        """Improve an open language model on work that can be checked, and prove it got better."""

    return app


def _version(asked: bool) -> None:
    if asked:
        print(f"burnish {burnish.__version__}")
        raise typer.Exit


def _notes(error: BaseException | None) -> list[str]:
    """What was noted on `error` and on what led to it: an open run says that it goes on."""
    notes: list[str] = []
    while error is not None:
        notes += getattr(error, "__notes__", [])
        error = error.__cause__ or error.__context__
    return notes


def main() -> None:
    """Run a command: exit 0 good, 1 a finding or an incomplete result, 2 wrong use, 3 too big."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        if not is_main():  # of the processes that torchrun started, one speaks
            set_quiet(True)
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
        make_app()()
    except BurnishError as error:
        line = " ".join(str(error).split())  # it may quote the words of another library
        who = "" if is_main() else f"process {rank()}: "
        print(f"{who}error: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # typer's answer to Ctrl-C is this status without a word
        if end.code == INTERRUPTED and is_main():
            print("; ".join(["interrupted", *_notes(end)]), file=sys.stderr)
        raise
    except BrokenPipeError:  # `burnish ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
