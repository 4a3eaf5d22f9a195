"""`burnish arch seq2seq`: encoder-decoder models of aligned pairs."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, Sets, job_options, settings_from, show_result, table

app = typer.Typer(
    help="Train encoder-decoder models on aligned pairs; translate and score with them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Translator = Annotated[Path, typer.Argument(help="Run or model folder of `arch seq2seq train`.")]
Beam = Annotated[int, typer.Option(help="Hypotheses that are kept; 1 is greedy.")]
Penalty = Annotated[float, typer.Option(help="Power of the length that divides a score; 0: none.")]
Pairs = Annotated[Path, typer.Argument(help="Pairs: .tsv, or .jsonl with source and target.")]


@app.command()
def train(
    pairs: Pairs,
    block: Annotated[
        str | None, typer.Option(help="Encoder layers: dense or pcformer:order=2. [default: dense]")
    ] = None,
    decoder_block: Annotated[
        str | None, typer.Option(help="Decoder layers, as --block. [default: dense]")
    ] = None,
    params: Annotated[str | None, typer.Option(help="Size. [default: 1.5M]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the pairs. [default: 10]")] = None,
    sets: Sets = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "--run", help="Run folder; new: start another run. [default: by the settings]"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the pairs, print the plan, train nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on pairs, measure it on held-out pairs, and write a report.

    Other settings, for example: --set vocab=1024 --set width=64 --set source=en --set target=de
    --set search.beam=8 --set bleu=false. BLEU needs the package sacrebleu (burnish[translate]).
    Interrupted runs resume when you repeat the command.
    """
    from burnish.arch.seq2seq.job import plan_seq2seq, train_seq2seq
    from burnish.arch.seq2seq.settings import Seq2SeqSettings
    from burnish.jobs.job import Place

    flags = {"pairs": str(pairs), "block": block, "decoder_block": decoder_block}
    flags |= {"params": params, "epochs": epochs}
    settings = settings_from(Seq2SeqSettings, sets=sets, flags=flags)
    if dry_run:
        plan = plan_seq2seq(settings)
        rows = [[name, str(value)] for name, value in plan.items()]
        words = f"burnish arch seq2seq train {pairs}"
        show_result(plan, as_json=as_json, next_command=words,
                    text=lambda: table(["what", "value"], rows))  # fmt: skip
        return
    result = train_seq2seq(settings, Place(**job_options(Path("runs"), out)))
    words = f"burnish arch seq2seq translate {result['run']} 'TEXT'"
    show_result(result, as_json=as_json, next_command=words)


@app.command()
def translate(
    model: Translator,
    texts: Annotated[list[str], typer.Argument(help="Texts to translate.")],
    beam: Beam = 4,
    length_penalty: Penalty = 0.6,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens of a translation.")] = 96,
    as_json: AsJson = False,
) -> None:
    """Translate texts with MODEL by beam search."""
    from burnish.arch.seq2seq.saved import check_texts, open_translator
    from burnish.arch.seq2seq.settings import BeamSettings

    search = BeamSettings(beam=beam, length_penalty=length_penalty, max_new_tokens=max_new_tokens)
    check_texts(texts)
    found = open_translator(model).translate(texts, search)
    rows = [
        {"source": source, "translation": text, "score": one.score, "ended": one.ended}
        for source, (text, one) in zip(texts, found, strict=True)
    ]
    show_result(
        {"model": str(model), "translations": rows},
        as_json=as_json,
        text=lambda: "\n".join(row["translation"] for row in rows),
    )


@app.command()
def score(
    model: Translator,
    pairs: Pairs,
    beam: Beam = 4,
    length_penalty: Penalty = 0.6,
    limit: Annotated[int, typer.Option(help="Most pairs to translate for BLEU; 0: none.")] = 500,
    source: Annotated[str, typer.Option(help="Column of the sources.")] = "source",
    target: Annotated[str, typer.Option(help="Column of the targets.")] = "target",
    as_json: AsJson = False,
) -> None:
    """Measure MODEL on pairs: nats a token, and BLEU with its interval.

    BLEU needs the package sacrebleu (burnish[translate]) and at least two pairs.
    """
    from burnish.arch.seq2seq.bleu import check_extra
    from burnish.arch.seq2seq.measure import score_pairs, scores
    from burnish.arch.seq2seq.pairs import read_pairs
    from burnish.arch.seq2seq.saved import open_translator, resolve_translator
    from burnish.arch.seq2seq.settings import BeamSettings

    search = BeamSettings(beam=beam, length_penalty=length_penalty)
    resolve_translator(model)
    given = read_pairs(pairs, source=source, target=target)
    if limit:
        check_extra()
    rows = score_pairs(open_translator(model), given, search, num_translated=limit)
    found = {"model": str(model), "pairs": str(pairs), **scores(rows, seed=0)}
    names = [name for name in ("validation", "bleu") if found[name]]
    show_result(
        found,
        as_json=as_json,
        text=lambda: table(
            ["what", "value", "low", "high", "pairs"],
            [[n, *(found[n][key] for key in ("value", "low", "high", "n"))] for n in names],
        ),
    )
