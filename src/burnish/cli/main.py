"""`burnish`: assembles the commands, and turns errors into one sentence and an exit status."""

import io
import os
import sys

import typer

import burnish
from burnish.base.errors import BurnishError, InputError, SettingError
from burnish.base.progress import set_quiet
from burnish.cli import (
    arch,
    critique,
    curate,
    doctor,
    draft,
    graph,
    improve,
    models,
    prefer,
    recall,
    report,
    sandbox,
    scaling,
    serve,
    stream,
    text,
    tour,
    verify,
)
from burnish.cli.usage import UsageError, as_one_sentence, is_help
from burnish.distrib.rank import is_main, rank
from burnish.distrib.team import lost_process

INTERRUPTED = 130


def make_app() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        name="burnish",
        help="Improve an open language model on tasks that a program can check, and test the gain.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in (improve, tour, text, serve, doctor, verify):
        app.add_typer(module.commands.app)
    app.add_typer(models.commands.app, name="models")
    app.add_typer(report.commands.app, name="report")
    app.add_typer(sandbox.commands.app, name="sandbox")
    app.add_typer(draft.commands.app, name="draft")
    app.add_typer(recall.commands.app, name="recall")
    app.add_typer(graph.commands.app, name="graph")
    app.add_typer(prefer.commands.app, name="prefer")
    app.add_typer(arch.commands.app, name="arch")
    app.add_typer(curate.commands.app, name="curate")
    app.add_typer(scaling.commands.app, name="scaling")
    app.add_typer(stream.commands.app, name="stream")
    app.add_typer(critique.commands.app, name="critique")

    @app.callback()
    def burnish_options(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ) -> None:
        """Improve an open language model on tasks that a program can check, and test the gain."""

    return app


def _version(asked: bool) -> None:
    if asked:
        print(f"burnish {burnish.__version__}")
        raise typer.Exit


def _notes(error: BaseException | None) -> list[str]:
    """What was noted on `error` and on its causes: an open run tells how to resume it."""
    notes: list[str] = []
    while error is not None:
        notes += getattr(error, "__notes__", [])
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    return notes


def main() -> None:
    """Run a command: exit 0 good, 1 a finding or an incomplete result, 2 wrong use, 3 too big."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for file in (sys.stdin, sys.stdout):  # a byte that is no UTF-8 ends no command
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="surrogateescape" if file is sys.stdin else "replace")
    try:
        if not is_main():  # of the processes that torchrun started, rank 0 prints
            set_quiet(True)
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
        command = typer.main.get_command(make_app())
        try:
            with command.make_context("burnish", sys.argv[1:]) as context:
                command.invoke(context)
        finally:
            sys.stdout.flush()  # a closed pipe is found here, where it is caught
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except BurnishError as error:
        _fail(error)
    except UsageError as error:
        if is_help(error):
            print(error, file=sys.stderr)
            sys.exit(SettingError.exit_code)
        _fail(as_one_sentence(error))
    except KeyboardInterrupt as error:
        if is_main():
            print("; ".join(["interrupted", *_notes(error)]), file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `burnish ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except RuntimeError as error:
        if (lost := lost_process(error)) is None:
            raise
        _fail(lost)
    except OSError as error:  # of an unchecked path: too long, no permission
        if error.filename is None:
            raise
        rule = f"cannot be used ({error.strerror})"
        remedy = "Check the path and its permissions"
        _fail(InputError("file", str(error.filename), rule, remedy=remedy))


def _fail(error: BurnishError) -> None:
    """Print the sentence of an error, and end with its status."""
    line = " ".join(str(error).split())  # it may quote the words of another library
    who = "" if is_main() else f"process {rank()}: "
    print(f"{who}error: {line}", file=sys.stderr)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
