"""`burnish stream`: read a text once in bounded memory, and ask it later."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import (
    Config,
    Device,
    ModelArgument,
    Precision,
    RunFolder,
    Runs,
    Sets,
    job_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands(
    "stream", help="Read texts of any length in bounded memory, and answer questions about them."
)

FilesArgument = Annotated[
    list[str], typer.Argument(help="Text, Markdown, source or PDF files, or folders of them.")
]
IndexArgument = Annotated[str, typer.Argument(help="Index folder that stream ingest made.")]
QuestionArgument = Annotated[str, typer.Argument(help="Question; empty: continue the text.")]
IndexOption = Annotated[str, typer.Option("--index", help="Folder of the index.")]
Policy = Annotated[str | None, typer.Option(help="Retrieving KV policy. [default: triangle-dp]")]
Budget = Annotated[
    int | None, typer.Option("--budget", help="Far tokens read at a time. [default: 1024]")
]
Template = Annotated[
    str | None, typer.Option(help="chat, plain, or auto: chat where the model has a template.")
]
Policies = Annotated[
    str | None, typer.Option(help="Specs, separated by commas. [default: triangle-dp,blocks]")
]
Length = Annotated[int | None, typer.Option(help="Tokens of a text. [default: 4096]")]
Lengths = Annotated[str | None, typer.Option(help="Tokens. [default: 2048,4096,8192]")]
Out = Annotated[Path | None, typer.Option(help="Also write a page to this folder.")]
Append = Annotated[bool, typer.Option("--append", help="Add the files to a complete index.")]
Conversation = Annotated[
    Path | None, typer.Option(help="File that stores the turns, for follow-up questions.")
]
MaxNew = Annotated[
    int | None, typer.Option("--max-new-tokens", help="Maximum tokens to generate. [default: 128]")
]


@commands.command()
def ingest(
    model: ModelArgument,
    files: FilesArgument,
    index: IndexOption,
    policy: Policy = None,
    budget: Budget = None,
    template: Template = None,
    append: Append = False,
    config: Config = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Read FILES with MODEL into an index folder. An interrupted call resumes when repeated."""
    from burnish.stream.reading import IngestSettings, ingest

    flags = {"model": model, "index": index, "policy": policy, "far_tokens": budget}
    flags |= {"files": tuple(files), "template": template, "append": append or None}
    flags |= {"device": device, "precision": precision}
    settings = settings_from(IngestSettings, config=config, sets=set, flags=flags)
    result = ingest(settings)
    return Outcome(
        result=result,
        text=lambda: table(["what", "value"], [[name, value] for name, value in result.items()]),
        next_command=f"burnish stream ask {index} QUESTION",
    )


@commands.command()
def ask(
    index: IndexArgument,
    question: QuestionArgument,
    conversation: Conversation = None,
    out: Out = None,
    max_new_tokens: MaxNew = None,
    drafts: Annotated[
        int | None,
        typer.Option(help="Maximum tokens drafted from the text in each pass. [default: 0]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Folder of the model, if it has moved. [default: the recorded one]"),
    ] = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Answer QUESTION from an index, without reading the text again; show the spans read."""
    from burnish.stream.asking import AskSettings, ask

    flags = {"index": index, "question": question, "max_new_tokens": max_new_tokens}
    flags |= {"drafts": drafts}
    flags |= {"conversation": str(conversation) if conversation else None, "model": model}
    flags |= {"device": device, "precision": precision}
    flags |= {"out": str(out) if out else None}
    result = ask(settings_from(AskSettings, flags=flags))

    def told() -> str:
        rows = [
            [f"{s['file']}:{s.get('line', s.get('page'))}", s["score"], " ".join(s["text"].split())]
            for s in result["spans"]
        ]
        return f"{result['text']}\n\n{table(['place', 'score', 'span read'], rows)}"

    return Outcome(result=result, text=told, next_command=f"burnish stream ask {index} ...")


@commands.command()
def audit(
    model: ModelArgument,
    policies: Policies = None,
    length: Length = None,
    budget: Budget = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure how much of planted sentences each policy reads under one budget, with intervals.

    Interrupted runs resume when you repeat the command. Other settings, for example:
    --set texts=5 --set needles=20 --set corpus=austen --set bound=0.1 --set kind=multikey
    """
    from burnish.stream.audit_job import AuditSettings, audit_policies

    flags = {"model": model, "policies": policies, "length": length, "budget": budget}
    flags |= {"device": device, "precision": precision}
    settings = settings_from(AuditSettings, config=config, sets=set, flags=flags)
    result = audit_policies(settings, **job_options(runs, run))
    names = ("evidence_recall", "mass_recall", "bound")

    def told() -> str:
        values = [
            [spec, *(row[n]["value"] if n in row else None for n in names)]
            for spec, row in result["policies"].items()
        ]
        return table(["policy", *names], values)

    following = f"burnish report show {result['run']}"
    return Outcome(result=result, text=told, next_command=following)


@commands.command()
def calibrate(
    model: ModelArgument,
    length: Length = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Find the attention heads that retrieve by content, as a policy's vote_heads.

    Reads texts with planted sentences. Other settings, for example:
    --set texts=2 --set needles=20 --set heads=10
    """
    from burnish.stream.retrieval_heads import CalibrateSettings, calibrate_heads

    flags = {"model": model, "length": length, "device": device, "precision": precision}
    settings = settings_from(CalibrateSettings, config=config, sets=set, flags=flags)
    result = calibrate_heads(settings)
    found = result["recall"]
    rows = [
        ["vote_heads", result["vote_heads"]],
        ["recall by votes", f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"],
    ]
    return Outcome(
        result=result,
        text=lambda: table(["what", "value"], rows),
        next_command=f"burnish stream audit {model} --policies {result['policy']},blocks",
    )


@commands.command()
def bench(
    model: ModelArgument,
    policy: Policy = None,
    lengths: Lengths = None,
    budget: Budget = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure memory and latency by length, with far tokens on disk.

    Finished lengths are kept when you repeat the command. Other settings: --set steps=16
    """
    from burnish.stream.bench_job import BenchSettings, bench_stream

    flags = {"model": model, "policy": policy, "budget": budget, "device": device}
    flags |= {"precision": precision, "lengths": _numbers(lengths)}
    settings = settings_from(BenchSettings, config=config, sets=set, flags=flags)
    result = bench_stream(settings, **job_options(runs, run))
    rows = result["lengths"]
    return Outcome(
        result=result,
        text=lambda: table(list(rows[0]), [list(row.values()) for row in rows]),
        next_command=f"burnish report show {result['run']}",
    )


def _numbers(text: str | None) -> tuple[int, ...] | None:
    from burnish.base.errors import SettingError

    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        rule, remedy = "must be numbers separated by commas", "For example 2048,4096"
        raise SettingError("--lengths", text, rule, remedy=remedy) from None
