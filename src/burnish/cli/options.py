"""Options that several commands share, and how results leave: a table, or one JSON object.

An option wins over `--set`, that over `--config`, and that over the preset or the defaults.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Settings = TypeVar("Settings")
NEW_RUN = "new"
called_as: ContextVar[str] = ContextVar("called_as")  # the call, where Python makes it

ModelArgument = Annotated[str, typer.Argument(help="Embedded name, folder, GGUF file or hub name.")]
OptionalModelArgument = Annotated[
    str | None,
    typer.Argument(
        help="Embedded name, folder, GGUF file or hub name. [default: smollm2-135m]",
        show_default=False,
    ),
]
ServedModelArgument = Annotated[
    str, typer.Argument(help="Embedded name, folder, GGUF file, hub name or openai:URL#name.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Precision = Annotated[
    str | None,
    typer.Option(help="auto (the default: fast on this machine), fp32, bf16, int8 or int4."),
]
Device = Annotated[str | None, typer.Option(help="auto (the default), cpu or cuda.")]
Config = Annotated[Path | None, typer.Option(help="Settings file (.yaml, .toml or .json).")]
Sets = Annotated[
    list[str], typer.Option("--set", help="Any setting, as key.inner=value; repeatable.")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder that holds the run folders.")]
RunFolder = Annotated[
    Path | None,
    typer.Option("--run", help="Run folder; new: start another run. [default: by the settings]"),
]


def settings_from(
    cls: type[Settings],
    *,
    base: Settings | None = None,
    config: Path | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any],
) -> Settings:
    """Settings of a command: `flags` over `sets` over `config` over `base`.

    `flags` holds the values of options by the dotted name of their setting; None and () stand for
    "not given". Raises what `load_settings` does.
    """
    from burnish.base.settings import load_settings

    named = {name: value for name, value in flags.items() if value not in (None, (), [])}
    return load_settings(cls, base=base, config=config, overrides=sets, named=named)


def job_options(runs: Path, folder: Path | None = None) -> dict[str, Any]:
    """What every function that makes a run takes: `runs`, `folder`, `fresh`, `command`."""
    fresh = folder is not None and str(folder) == NEW_RUN
    own = None if fresh else folder
    return {"runs": runs, "folder": own, "fresh": fresh, "command": command_words()}


def command_words() -> list[str]:
    """What asked for a run, as `run.json` notes it: the words of the shell, or a call of Python."""
    call = called_as.get("")
    return [call] if call else ["burnish", *sys.argv[1:]]


def place_options(precision: str | None, device: str | None) -> dict[str, Any]:
    """The two options as the arguments of `load_model`; what is not given keeps its default."""
    given = {"precision": precision, "device": device}
    return {name: value for name, value in given.items() if value is not None}


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, and nothing else, on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()


def show_result(
    result: Mapping[str, Any],
    *,
    as_json: bool,
    next_command: str = "",
    text: Callable[[], str] | None = None,
) -> None:
    """Print a result: its table or page, its run, model and report, the next command.

    With `as_json` one object and nothing else; the page is left out, because `report show` prints
    it. `text` makes the table of a result that has no page.
    """
    if as_json:
        print_json({name: value for name, value in result.items() if name != "page"})
        return
    print(text() if text is not None else _page_text(result))
    lines: dict[str, str] = {}
    if run := result.get("run"):
        lines = {"run": run} | {n: result[n] for n in ("model", "weights") if n in result}
        report = Path(run) / "report" / "index.html"
        lines |= {"report": str(report)} if report.is_file() else {}
    lines |= {"next": next_command} if next_command else {}
    width = max(map(len, lines), default=0) + 1
    for name, value in lines.items():
        print(f"{name + ':':<{width}} {value}")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table for a terminal."""
    from burnish.report.text import table_as_text

    return table_as_text(columns, rows)


def _page_text(result: Mapping[str, Any]) -> str:
    from burnish.report.pages import page_from_json
    from burnish.report.text import page_as_text

    return page_as_text(page_from_json(result["page"]))
