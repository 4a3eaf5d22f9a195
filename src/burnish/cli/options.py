"""Options that several commands share, and how results leave: a table, or one JSON object."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16, int8 or int4; auto probes.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder that holds the run folders.")]
Config = Annotated[Path | None, typer.Option(help="Settings file (.yaml, .toml or .json).")]
Sets = Annotated[
    list[str], typer.Option("--set", help="Any setting: key.inner=value; may be repeated.")
]


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, and nothing else, on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()
