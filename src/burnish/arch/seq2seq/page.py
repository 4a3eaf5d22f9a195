"""The report of a run: numbers, verdict, curves, translations."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.arch.page import loss_chart
from burnish.contracts.page import Table
from burnish.contracts.step import Told

MOST_SAMPLES = 20


def tell_training(output: Mapping[str, Any]) -> Sequence[Told]:
    """Size, cost, speed, and both losses by step."""
    chart = loss_chart(output, what="pairs", training="training, labels smoothed")
    names = ("num_params", "train_flops_per_pair", "num_steps", "tokens", "tokens_per_s")
    names += ("num_long_pairs", "mean_source_tokens", "mean_target_tokens", "shapes")
    numbers = {name: output[name] for name in names} | {"evaluations": output["evaluations"]}
    tiles = (("Parameters", f"{output['num_params']:,}", "both halves, one embedding"),)
    return (Told(section="training", numbers=numbers, headline=tiles, blocks=(chart,)),)


def tell_scores(output: Mapping[str, Any]) -> Sequence[Told]:
    """The verdict: nats per token, and BLEU where it was measured; some translations."""
    nats, bleu = output["validation"], output["bleu"]
    verdict = (
        f"{nats['value']:.3f} nats per token [{nats['low']:.3f}, {nats['high']:.3f}] on "
        f"{nats['n']:,} held-out pairs"
    )
    if bleu is not None:
        verdict += (
            f"; BLEU {bleu['value']:.1f} [{bleu['low']:.1f}, {bleu['high']:.1f}] on "
            f"{bleu['n']:,} of them ({bleu['signature']})"
        )
    table = Table(
        title="Translations",
        columns=["source", "reference", "translation"],
        rows=[[row[n] for n in ("source", "target", "translation")] for row in output["samples"]],
        caption="The first held-out pairs.",
    )
    numbers = {"validation": nats, "bleu": bleu}
    return (
        Told(numbers=numbers, verdict=(f"{verdict}.", "measured")),
        Told(section="samples", blocks=(table,) if output["samples"] else ()),
    )
