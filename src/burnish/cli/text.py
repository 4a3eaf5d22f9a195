"""`burnish generate` and `burnish chat`."""

import sys
import time
from typing import Annotated

import typer

from burnish.cli.options import AsJson, Device, Precision, Sets, print_json

app = typer.Typer()

ModelArgument = Annotated[
    str, typer.Argument(help="Embedded name, folder, GGUF file, hub name or openai:URL#name.")
]
PromptArgument = Annotated[str, typer.Argument(help="Text to continue; - reads standard input.")]
MaxNew = Annotated[int, typer.Option("--max-new-tokens", help="Most tokens to write.")]
Greedy = Annotated[bool, typer.Option("--greedy", help="Always the likeliest token.")]
Temperature = Annotated[float, typer.Option(help="Higher is more varied.")]
Seed = Annotated[int, typer.Option(help="Same seed, same text.")]
Draft = Annotated[
    str, typer.Option(help="plain, auto, firp, ngram, medusa or a full spec; the text is the same.")
]
Kv = Annotated[
    str, typer.Option("--kv", help="What is kept of a text: full, or window:budget_tokens=512.")
]
Chat = Annotated[bool, typer.Option("--chat", help="Put the prompt into the chat template.")]


@app.command()
def generate(
    model: ModelArgument,
    prompt: PromptArgument,
    max_new_tokens: MaxNew = 128,
    greedy: Greedy = False,
    temperature: Temperature = 0.7,
    seed: Seed = 0,
    sets: Sets = [],  # noqa: B006 - typer copies it
    chat: Chat = False,
    draft: Draft = "plain",
    kv: Kv = "full",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Continue PROMPT with MODEL; prints the text, tokens per second and passes.

    --draft writes several tokens in a pass; auto measures first whether that pays here. --kv bounds
    the memory of a long text. Other settings: --set top_p=0.9 --set top_k=50 --set 'stop=["END"]'
    """
    from burnish.base.errors import SettingError
    from burnish.base.settings import load_settings
    from burnish.contracts.generation import Sampling
    from burnish.recipes.answers import open_writer

    base = Sampling(
        max_new_tokens=max_new_tokens, temperature=0.0 if greedy else temperature, seed=seed
    )
    sampling = load_settings(Sampling, base=base, overrides=sets)
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise SettingError("prompt", text, "must not be empty", remedy="Write a few words")
    writer = open_writer(model, precision=precision, draft=draft, kv=kv)
    started = time.perf_counter()
    if chat:
        done = writer.chat([{"role": "user", "content": text}], sampling)
    else:
        done = writer.complete(text, sampling)
    seconds = time.perf_counter() - started
    rate = round(len(done.tokens) / seconds, 2)
    if as_json:
        counts = {"tokens": len(done.tokens), "tokens_per_s": rate, "num_passes": done.num_passes}
        print_json({"text": done.text, **counts, "finish": done.finish, "model": model})
        return
    print(done.text)
    print(f"{len(done.tokens)} tokens, {rate} tokens/s, {done.num_passes} passes", file=sys.stderr)


@app.command()
def chat(
    model: ModelArgument = "smollm2-135m",
    max_new_tokens: MaxNew = 256,
    temperature: Temperature = 0.7,
    seed: Seed = 0,
    kv: Kv = "full",
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Talk to MODEL in the terminal; an empty line or Ctrl-D ends."""
    from burnish.base.progress import say
    from burnish.contracts.generation import Sampling
    from burnish.recipes.answers import open_writer

    writer = open_writer(model, precision=precision, device=device, kv=kv)
    writer.check_chat()
    say(f"{model} is ready; an empty line or Ctrl-D ends")
    messages: list[dict[str, str]] = []
    while line := _ask():
        messages.append({"role": "user", "content": line})
        sampling = Sampling(
            max_new_tokens=max_new_tokens, temperature=temperature, seed=seed + len(messages)
        )
        done = writer.chat(messages, sampling)
        messages.append({"role": "assistant", "content": done.text})
        print(done.text, flush=True)


def _ask() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""
