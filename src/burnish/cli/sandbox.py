"""`burnish sandbox`: run and judge code in isolation, and tell what this machine enforces."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli import sandbox_analysis
from burnish.cli.options import table
from burnish.cli.verbs import Commands, Outcome

commands = Commands(
    "sandbox",
    help="Run, judge and analyze code in many languages, isolated without Docker.",
    more=sandbox_analysis.commands,
)

Lang = Annotated[
    str,
    typer.Option("--lang", help="Language, e.g. python or cpp:standard=c++20. [default: detected]"),
]
Isolation = Annotated[
    str, typer.Option(help="auto, strict, namespaces, bubblewrap, landlock or none.")
]
Limited = Annotated[list[str], typer.Option("--limit", help="A limit, e.g. cpu_s=2; repeatable.")]


@commands.command()
def run(
    file: Annotated[Path, typer.Argument(help="Source file.")],
    lang: Lang = "",
    stdin: Annotated[Path | None, typer.Option(help="File for standard input.")] = None,
    limit: Limited = [],  # noqa: B006
    isolation: Isolation = "auto",
) -> Outcome:
    """Run FILE once, and print its output and status. Exit status 1: it failed."""
    from burnish.sandbox.commands import run_file

    result = run_file(file, language=lang, stdin=stdin, limits=limit, isolation=isolation)
    good = result["status"] == "accepted"
    return Outcome(result=result, show=lambda: _show_run(result), exit_code=0 if good else 1)


@commands.command()
def judge(
    problem: Annotated[Path, typer.Argument(help="JSON: code, language, tests or asserts.")],
    workers: Annotated[int, typer.Option(min=1, help="Tests that run in parallel.")] = 1,
    isolation: Isolation = "auto",
) -> Outcome:
    """Judge the code of PROBLEM by its tests. Exit status 1: it is not accepted."""
    from burnish.sandbox.commands import judge_file

    result = judge_file(problem, num_workers=workers, isolation=isolation)
    return Outcome(
        result=result,
        text=lambda: _judged_text(result),
        next_command=f"burnish sandbox judge {problem} --json (output and limits of each test)",
        exit_code=0 if result["verdict"] == "accepted" else 1,
    )


@commands.command()
def doctor() -> Outcome:
    """Print which limits this machine enforces, how, and which languages it runs."""
    from burnish.sandbox.commands import examine

    found: dict[str, Any] = examine()
    return Outcome(
        result=found,
        text=lambda: _machine_text(found),
        next_command="burnish sandbox run FILE",
        exit_code=0 if found["strict"] else 1,
    )


def _show_run(result: dict[str, Any]) -> None:
    sys.stdout.write(result["stdout"])
    sys.stderr.write(result["stderr"])
    keys = ("language", "status", "exit_code", "cpu_s", "wall_s", "memory_bytes")
    facts = ", ".join(f"{key} {result[key]}" for key in keys)
    print(f"{facts}; {result['reason'] or 'no limit was reached'}", file=sys.stderr)
    print("next: burnish sandbox judge PROBLEM.json, or --json for all", file=sys.stderr)


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
