"""`burnish sandbox`: run and judge code in isolation, and tell what this machine enforces."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli import sandbox_analysis
from burnish.cli.options import AsJson, show_result, table


def _make_app() -> typer.Typer:
    """The group, with the commands of `sandbox_analysis` in it."""
    made = typer.Typer(
        help="Run, judge and analyze code in many languages, isolated without Docker.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    made.add_typer(sandbox_analysis.app)
    return made


app = _make_app()

Lang = Annotated[
    str,
    typer.Option("--lang", help="Language, e.g. python or cpp:standard=c++20. [default: detected]"),
]
Isolation = Annotated[
    str, typer.Option(help="auto, strict, namespaces, bubblewrap, landlock or none.")
]
Limited = Annotated[list[str], typer.Option("--limit", help="A limit, e.g. cpu_s=2; repeatable.")]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Source file.")],
    lang: Lang = "",
    stdin: Annotated[Path | None, typer.Option(help="File for standard input.")] = None,
    limit: Limited = [],  # noqa: B006
    isolation: Isolation = "auto",
    as_json: AsJson = False,
) -> None:
    """Run FILE once, and print its output and status. Exit status 1: it failed."""
    from burnish.sandbox.commands import run_file

    result = run_file(file, language=lang, stdin=stdin, limits=limit, isolation=isolation)
    if as_json:
        show_result(result, as_json=True)
    else:
        sys.stdout.write(result["stdout"])
        sys.stderr.write(result["stderr"])
        keys = ("language", "status", "exit_code", "cpu_s", "wall_s", "memory_bytes")
        facts = ", ".join(f"{key} {result[key]}" for key in keys)
        print(f"{facts}; {result['reason'] or 'no limit was reached'}", file=sys.stderr)
        print("next: burnish sandbox judge PROBLEM.json, or --json for all", file=sys.stderr)
    raise typer.Exit(0 if result["status"] == "accepted" else 1)


@app.command()
def judge(
    problem: Annotated[Path, typer.Argument(help="JSON: code, language, tests or asserts.")],
    workers: Annotated[int, typer.Option(min=1, help="Tests that run in parallel.")] = 1,
    isolation: Isolation = "auto",
    as_json: AsJson = False,
) -> None:
    """Judge the code of PROBLEM by its tests. Exit status 1: it is not accepted."""
    from burnish.sandbox.commands import judge_file

    result = judge_file(problem, num_workers=workers, isolation=isolation)
    show_result(
        result,
        as_json=as_json,
        text=lambda: _judged_text(result),
        next_command=f"burnish sandbox judge {problem} --json (output and limits of each test)",
    )
    raise typer.Exit(0 if result["verdict"] == "accepted" else 1)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Print what this machine enforces, by which mechanism, and which languages it runs."""
    from burnish.sandbox.commands import examine

    found: dict[str, Any] = examine()
    show_result(
        found,
        as_json=as_json,
        text=lambda: _machine_text(found),
        next_command="burnish sandbox run FILE",
    )
    raise typer.Exit(0 if found["strict"] else 1)


def _judged_text(result: dict[str, Any]) -> str:
    rows = [
        [str(i), t["status"], f"{t['cpu_s']:.3f}", t["reason"][:80]]
        for i, t in enumerate(result["tests"], start=1)
    ]
    passed = f"{result['passed']} of {result['total']} tests"
    verdict = f"verdict {result['verdict']}, {passed}, reward {result['reward']}"
    return f"{table(['test', 'status', 'cpu_s', 'reason'], rows)}\n{verdict}"


def _machine_text(found: dict[str, Any]) -> str:
    ways = [[k, v or "works"] for k, v in found["backends"].items()]
    return "\n".join([
        table(["limit", "enforced by"], list(found["attestation"].items())),
        table(["isolation", "state"], ways),
        table(["language", "tool chain"], list(found["languages"].items())),
    ])  # fmt: skip
