"""`burnish serve`: a model behind the interface of OpenAI's servers."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import Device, Precision, Sets, settings_from
from burnish.cli.text import Kv
from burnish.cli.verbs import Commands

commands = Commands()

ModelArgument = Annotated[
    str | None,
    typer.Argument(
        help="Embedded name, folder, GGUF file or hub name. [default: that of the index, or "
        "smollm2-135m]",
        show_default=False,
    ),
]
Index = Annotated[
    list[str],
    typer.Option(
        help="Index folder that stream ingest made; chats ask about its text under its name."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File with the bearer token; required for any address but loopback."),
]


@commands.command()
def serve(
    model: ModelArgument = None,
    host: Annotated[str | None, typer.Option(help="Address. [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 takes a free one. [default: 8080]")
    ] = None,
    token_file: TokenFile = None,
    parallel: Annotated[
        int | None, typer.Option(help="Texts that are decoded together. [default: 8]")
    ] = None,
    index: Index = [],  # noqa: B006 - typer copies it
    draft: Annotated[
        str | None, typer.Option(help="plain (the default), auto, firp, ngram or a full spec.")
    ] = None,
    kv: Kv = "full",
    set: Sets = [],  # noqa: B006 - typer copies it
    device: Device = None,
    precision: Precision = None,
) -> None:
    """Serve MODEL to every OpenAI client, with a chat page at /, until interrupted.

    With --index DIR, repeatable, chats whose "model" is the folder's name are answered from the
    text of the index, and name the spans that were read. The plain model is served beside it.

    /v1/models, /v1/completions, /v1/chat/completions, /v1/embeddings, /metrics, /health, and the
    sandbox's /run_code, /judge, /analyze and /detect. Schema: /openapi.json.
    Other settings: --set context_tokens=8192 (most tokens of a prompt and its answer)
    --set listen.max_waiting=64 --set listen.deadline_s=120 --set name=mine
    --set sandbox.num_workers=0 (no sandbox) --set sandbox.isolation=strict
    """
    from burnish.server.extra import check_extra

    check_extra()
    from burnish.server.start import ModelSettings, serve_model

    flags = {
        "model": model, "precision": precision, "device": device, "draft": draft, "kv": kv,
        "indexes": tuple(index), "listen.host": host, "listen.port": port,
        "listen.num_workers": parallel, "listen.token_file": token_file and str(token_file),
    }  # fmt: skip
    serve_model(settings_from(ModelSettings, sets=set, flags=flags))
