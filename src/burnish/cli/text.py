"""`burnish generate` and `burnish chat`."""

import sys
import time
from typing import Annotated

import typer

from burnish.cli.options import (
    Device,
    Precision,
    ServedModelArgument,
    Sets,
    place_options,
    settings_from,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands()

PromptArgument = Annotated[str, typer.Argument(help="Text to continue; - reads standard input.")]
MaxNew = Annotated[
    int | None, typer.Option("--max-new-tokens", help="Maximum tokens to generate. [default: 128]")
]
Greedy = Annotated[bool, typer.Option("--greedy", help="Always choose the most likely token.")]
Temperature = Annotated[
    float | None, typer.Option(help="Higher is more varied; 0 is greedy. [default: 0.7]")
]
Draft = Annotated[
    str, typer.Option(help="plain, auto, firp, ngram, medusa or a full spec; the text is the same.")
]
Kv = Annotated[
    str,
    typer.Option("--kv", help="KV policy: full, window:budget_tokens=512, triangle-dp ..."),
]
Chat = Annotated[bool, typer.Option("--chat", help="Put the prompt into the chat template.")]


@commands.command()
def generate(
    model: ServedModelArgument,
    prompt: PromptArgument,
    max_new_tokens: MaxNew = None,
    greedy: Greedy = False,
    temperature: Temperature = None,
    chat: Chat = False,
    draft: Draft = "plain",
    kv: Kv = "full",
    set: Sets = [],  # noqa: B006 - typer copies it
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Continue PROMPT with MODEL; print the text, tokens per second and passes.

    --draft uses speculative decoding; auto first measures whether it is faster here. --kv bounds
    the memory of a long text.
    Other settings: --set top_p=0.9 --set top_k=50 --set seed=1 --set 'stop=["END"]'
    """
    from burnish.base.text import checked_text
    from burnish.contracts.generation import Sampling
    from burnish.recipes.answers import SAMPLING, checked_prompt, load

    flags = {"max_new_tokens": max_new_tokens, "temperature": 0.0 if greedy else temperature}
    overrides = [checked_text("--set", word) for word in set]
    sampling = settings_from(Sampling, base=SAMPLING, sets=overrides, flags=flags)
    text = checked_prompt(sys.stdin.buffer.read() if prompt == "-" else prompt)
    writer = load(model, draft=draft, kv=kv, **place_options(precision, device))
    started = time.perf_counter()
    done = writer.write(text, sampling, chat=chat)
    rate = round(len(done.tokens) / (time.perf_counter() - started), 2)
    counts = {"tokens": len(done.tokens), "tokens_per_s": rate, "num_passes": done.num_passes}
    result = {"text": done.text, **counts, "finish": done.finish, "model": model}

    def show() -> None:
        print(done.text)
        told = f"{len(done.tokens)} tokens, {rate} tokens/s, {done.num_passes} passes"
        print(told, file=sys.stderr)

    return Outcome(result=result, show=show)


@commands.command()
def chat(
    model: ServedModelArgument = "smollm2-135m",
    max_new_tokens: Annotated[int, typer.Option(help="Maximum tokens of an answer.")] = 256,
    temperature: Annotated[float, typer.Option(help="Higher is more varied; 0 is greedy.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    kv: Kv = "full",
    device: Device = None,
    precision: Precision = None,
) -> None:
    """Talk to MODEL in the terminal; an empty line or Ctrl-D ends."""
    from burnish.base.progress import say
    from burnish.contracts.generation import Sampling
    from burnish.recipes.answers import load

    writer = load(model, kv=kv, **place_options(precision, device))
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
    from burnish.base.text import well_formed

    try:
        return well_formed(input("> " if sys.stdin.isatty() else "").strip())
    except EOFError:
        return ""
