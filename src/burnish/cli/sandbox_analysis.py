"""`burnish sandbox detect | analyze | serve`."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import table
from burnish.cli.verbs import Commands, Outcome

commands = Commands("sandbox")

Isolation = Annotated[str, typer.Option(help="auto, strict, or a back end by name.")]


@commands.command()
def detect(
    files: Annotated[list[Path], typer.Argument(help="Source files; - reads standard input.")],
    content_only: Annotated[
        bool, typer.Option("--content-only", help="Ignore file extensions.")
    ] = False,
) -> Outcome:
    """Detect the programming language of FILES. Exit status 1: one is uncertain."""
    from burnish.sandbox.files import detect_files

    rows = detect_files(files, content_only=content_only)
    cells = [
        [r["path"], r["language"] or f"not clear: {r['reason']}", f"{r['confidence']:.3f}"]
        for r in rows
    ]
    named = next((r["path"] for r in rows if r["language"]), files[0])
    return Outcome(
        result=rows[0] if len(rows) == 1 else {"files": rows},
        text=lambda: table(["path", "language", "confidence"], cells),
        next_command=f"burnish sandbox analyze {named}",
        exit_code=0 if all(row["language"] for row in rows) else 1,
    )


@commands.command()
def analyze(
    file: Annotated[Path, typer.Argument(help="Source file.")],
    lang: Annotated[str, typer.Option("--lang", help="Language. [default: detected]")] = "",
    stdin: Annotated[
        list[Path], typer.Option(help="File for standard input; one run for each; repeatable.")
    ] = [],  # noqa: B006 - typer copies it
    run: Annotated[bool, typer.Option("--run/--no-run", help="Measure coverage and time.")] = True,
    sarif: Annotated[Path | None, typer.Option(help="Write the findings here as SARIF.")] = None,
    isolation: Isolation = "auto",
) -> Outcome:
    """Report structure, smells, bugs, coverage and efficiency of FILE. Exit status 1: bugs."""
    from burnish.analysis.files import analysis_tables, analyze_file

    analysis = analyze_file(
        file, language=lang, stdins=stdin, run=run, sarif=sarif, isolation=isolation
    )
    shown = [f"\n{title}\n{table(c, rows)}" for title, c, rows in analysis_tables(analysis)]
    return Outcome(
        result=analysis.to_dict(),
        text=lambda: "\n".join([*shown, ""]),
        next_command=f"burnish sandbox analyze {file} --sarif findings.sarif",
        exit_code=1 if analysis.bugs else 0,
    )


@commands.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Jobs that run in parallel.")] = 2,
    queue: Annotated[
        int, typer.Option(min=0, help="Jobs that may wait; others get status 429.")
    ] = 64,
    deadline_s: Annotated[
        float, typer.Option(help="Maximum time that a request may wait and run [s].")
    ] = 120.0,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the bearer token; required for any address but loopback."),
    ] = None,
    isolation: Isolation = "auto",
) -> None:
    """Answer /run_code (SandboxFusion's), /judge, /analyze and /detect until interrupted."""
    from burnish.server.extra import check_extra

    check_extra()
    from burnish.server.start import SandboxSettings, ServeSettings, serve_sandbox

    settings = ServeSettings(
        host=host,
        port=port,
        max_waiting=queue,
        deadline_s=deadline_s,
        token_file=str(token_file) if token_file else "",
    )
    serve_sandbox(settings, SandboxSettings(num_workers=workers, isolation=isolation))
