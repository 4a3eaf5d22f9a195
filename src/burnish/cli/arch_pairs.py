"""`burnish arch train | translate | score`: encoder-decoder models of aligned pairs."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import Sets, job_options, settings_from, table
from burnish.cli.verbs import Commands, Outcome

commands = Commands("arch")

Translator = Annotated[Path, typer.Argument(help="Run or model folder of `arch train`.")]
Beam = Annotated[int, typer.Option(help="Number of hypotheses to keep; 1 is greedy decoding.")]
Penalty = Annotated[
    float, typer.Option(help="Exponent of the length by which scores are divided; 0: none.")
]
Pairs = Annotated[Path, typer.Argument(help="Pairs: .tsv, or .jsonl with source and target.")]


@commands.command("train")
def train_pairs(
    pairs: Pairs,
    block: Annotated[
        str | None, typer.Option(help="Encoder layers: dense or pcformer:order=2. [default: dense]")
    ] = None,
    decoder_block: Annotated[
        str | None, typer.Option(help="Decoder layers, as --block. [default: dense]")
    ] = None,
    params: Annotated[str | None, typer.Option(help="Size. [default: 1.5M]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the pairs. [default: 10]")] = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "--run", help="Run folder; new: start another run. [default: by the settings]"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the pairs, print the plan, and do not train.")
    ] = False,
) -> Outcome:
    """Train an encoder-decoder on PAIRS, measure it on held-out pairs, and write a report.

    Other settings, for example: --set vocab=1024 --set width=64 --set source=en --set target=de
    --set search.beam=8 --set bleu=false. BLEU needs the package sacrebleu (burnish[translate]).
    Interrupted runs resume when you repeat the command.
    """
    from burnish.arch.seq2seq.job import plan_seq2seq, train_seq2seq
    from burnish.arch.seq2seq.settings import Seq2SeqSettings
    from burnish.jobs.job import Place

    flags = {"pairs": str(pairs), "block": block, "decoder_block": decoder_block}
    flags |= {"params": params, "epochs": epochs}
    settings = settings_from(Seq2SeqSettings, sets=set, flags=flags)
    if dry_run:
        plan = plan_seq2seq(settings)
        rows = [[name, str(value)] for name, value in plan.items()]
        return Outcome(
            result=plan,
            text=lambda: table(["what", "value"], rows),
            next_command=f"burnish arch train {pairs}",
        )
    result = train_seq2seq(settings, Place(**job_options(Path("runs"), out)))
    return Outcome(result=result, next_command=f"burnish arch translate {result['run']} 'A text'")


@commands.command()
def translate(
    model: Translator,
    texts: Annotated[list[str], typer.Argument(help="Texts to translate.")],
    beam: Beam = 4,
    length_penalty: Penalty = 0.6,
    max_new_tokens: Annotated[int, typer.Option(help="Maximum tokens of a translation.")] = 96,
) -> Outcome:
    """Translate TEXTS with MODEL by beam search."""
    from burnish.arch.seq2seq.saved import check_texts, open_translator
    from burnish.arch.seq2seq.settings import BeamSettings

    search = BeamSettings(beam=beam, length_penalty=length_penalty, max_new_tokens=max_new_tokens)
    check_texts(texts)
    found = open_translator(model).translate(texts, search)
    rows = [
        {"source": source, "translation": text, "score": one.score, "ended": one.ended}
        for source, (text, one) in zip(texts, found, strict=True)
    ]
    return Outcome(
        result={"model": str(model), "translations": rows},
        text=lambda: "\n".join(str(row["translation"]) for row in rows),
    )


@commands.command("score")
def score_pairs(
    model: Translator,
    pairs: Pairs,
    beam: Beam = 4,
    length_penalty: Penalty = 0.6,
    limit: Annotated[int, typer.Option(help="Maximum pairs to translate for BLEU; 0: none.")] = 500,
    source: Annotated[str, typer.Option(help="Column of the sources.")] = "source",
    target: Annotated[str, typer.Option(help="Column of the targets.")] = "target",
) -> Outcome:
    """Measure MODEL on PAIRS: nats per token, and BLEU with its interval.

    BLEU needs the package sacrebleu (burnish[translate]) and at least two pairs.
    """
    from burnish.arch.seq2seq import measure
    from burnish.arch.seq2seq.bleu import check_extra
    from burnish.arch.seq2seq.pairs import read_pairs
    from burnish.arch.seq2seq.saved import open_translator, resolve_translator
    from burnish.arch.seq2seq.settings import BeamSettings

    search = BeamSettings(beam=beam, length_penalty=length_penalty)
    resolve_translator(model)
    given = read_pairs(pairs, source=source, target=target)
    if limit:
        check_extra()
    rows = measure.score_pairs(open_translator(model), given, search, num_translated=limit)
    found = {"model": str(model), "pairs": str(pairs), **measure.scores(rows, seed=0)}
    names = [name for name in ("validation", "bleu") if found[name]]
    return Outcome(
        result=found,
        text=lambda: table(
            ["what", "value", "low", "high", "pairs"],
            [[n, *(found[n][key] for key in ("value", "low", "high", "n"))] for n in names],
        ),
    )
