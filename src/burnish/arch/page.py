"""The report of a pretraining run: numbers, verdict, curves, samples."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.base.files import read_json
from burnish.base.stages import StageResult
from burnish.contracts.page import Chart, Series, Table
from burnish.contracts.step import Told


def plan_in_words(plan: Mapping[str, Any]) -> str:
    """Every number with its source, one per line."""
    return "\n".join(["plan:", *(f"  {n}: {v} ({s})" for n, v, s in _plan_rows(plan))])


def tell_plan(plan: Mapping[str, Any]) -> Sequence[Told]:
    """The plan's numbers and its table."""
    table = Table(title="Plan", columns=["what", "value", "source"], rows=_plan_rows(plan))
    return (Told(section="notes", numbers={"plan": dict(plan)}, blocks=(table,)),)


def loss_chart(output: Mapping[str, Any], *, what: str, training: str = "training") -> Chart:
    """Training loss and held-out loss by step; `what` the held-out part consists of."""
    losses, measured = output["losses"], output["evaluations"]
    return Chart(
        title="Loss",
        kind="line",
        series=[
            Series(name=training, x=[x for x, _ in losses], y=[y for _, y in losses]),
            Series(
                name="held-out",
                x=[float(row["step"]) for row in measured],
                y=[row["nats_per_token"] for row in measured],
            ),
        ],
        x_label="step",
        y_label="nats per token",
        caption=f"Held-out: the first {what} only. The value above is over all of them.",
    )


def tell_training(output: Mapping[str, Any]) -> Sequence[Told]:
    """Tokens and speed, the loss by step, samples by step."""
    measured = output["evaluations"]
    chart = loss_chart(output, what="documents")
    samples = [[row["step"], row["sample"]] for row in measured if "sample" in row]
    table = Table(title="Samples", columns=["after step", "text"], rows=samples)
    names = ("tokens", "tokens_per_s", "num_steps", "export_difference")
    numbers = {name: output[name] for name in names} | {"evaluations": measured}
    tiles = (
        ("Tokens", f"{output['tokens']:,}", f"{output['num_steps']:,} steps"),
        ("Speed", f"{output['tokens_per_s']:,.0f}", "tokens per second, last attempt"),
    )
    return (
        Told(section="training", numbers=numbers, headline=tiles, blocks=(chart,)),
        Told(section="samples", blocks=(table,) if samples else ()),
        *_tell_experts(output["experts"]),
    )


def _tell_experts(experts: Mapping[str, Any] | None) -> Sequence[Told]:
    """How evenly experts are used, by step, and each expert's share at the end."""
    if experts is None:
        return ()
    curve = experts["load_variation"]
    chart = Chart(
        title="Expert load",
        kind="line",
        series=[Series(name="all layers", x=[x for x, _ in curve], y=[y for _, y in curve])],
        x_label="step",
        y_label="coefficient of variation of the loads",
        caption="0: all experts of a layer take the same number of tokens.",
    )
    loads = experts["load_frac"]
    columns = ["layer", *(f"expert {number}" for number in range(len(loads[0])))]
    rows = [[layer, *parts] for layer, parts in enumerate(loads)]
    table = Table(title="Part of the tokens, last tenth of the steps", columns=columns, rows=rows)
    return (Told(section="training", numbers={"experts": dict(experts)}, blocks=(chart, table)),)


def scores(rows: Sequence[Mapping[str, Any]], *, seed: int) -> dict[str, Any]:
    """Nats per token and bits per byte over documents, with intervals."""
    from burnish.arch.measure import bits, ratio

    nats = [row["nats"] for row in rows]
    tokens, num_bytes = ([row[name] for row in rows] for name in ("num_tokens", "num_bytes"))
    by_byte = ratio([bits(x) for x in nats], num_bytes, seed=seed)
    return {
        "validation": ratio(nats, tokens, seed=seed).to_dict(),
        "bits_per_byte": by_byte.value,
        "bits_per_byte_interval": [by_byte.low, by_byte.high],
        "num_heldout_bytes": sum(num_bytes),
    }


def differently_scored(done: StageResult, *, seed: int) -> str:
    """Names of reported numbers that do not follow from the documents' own."""
    again = scores(read_json(done.path / "documents.json"), seed=seed)
    return ", ".join(name for name, value in again.items() if done.output[name] != value)


def tell_evaluation(output: Mapping[str, Any]) -> Sequence[Told]:
    """The verdict: bits per byte beside xz's."""
    names = ("validation", "bits_per_byte", "bits_per_byte_interval", "num_heldout_bytes")
    xz = ("xz_bits_per_byte", "xz_stream_bits_per_byte")
    low, high = output["bits_per_byte_interval"]
    per_byte, packed = output["bits_per_byte"], output[xz[0]]
    verdict = (
        f"{per_byte:.3f} bits per byte [{low:.3f}, {high:.3f}] on {output['num_heldout_bytes']:,} "
        f"bytes of documents that it has not seen; xz -9 takes {packed:.3f} for each document by "
        f"itself, and {output[xz[1]]:.3f} for all as one stream."
    )
    loss = output["validation"]
    tiles = (
        ("Bits a byte", f"{per_byte:.3f}", f"95% interval {low:.3f} to {high:.3f}"),
        (
            "Validation loss",
            f"{loss['value']:.3f}",
            f"nats per token, 95% interval {loss['low']:.3f} to {loss['high']:.3f}",
        ),
    )
    numbers = {name: output[name] for name in (*names, *xz)}
    return (Told(numbers=numbers, headline=tiles, verdict=(verdict, "measured")),)


def tell_against_plan(
    planned: Mapping[str, float], counts: str, plan: Mapping[str, Any], loss: float
) -> Sequence[Told]:
    """A plan file's numbers and predictions beside what was trained and measured.

    `counts` is the convention in which the file counts parameters.
    Source: ours. Oracle: tests/arch/test_page.py::test_plan_stands_beside_actual
    """
    from burnish.arch.plan import Shape

    values, shape = plan["values"], Shape(**plan["shape"])
    counted = shape.counted(counts, context=values["context"])
    actual = {
        "n": counted.n_active,
        "n_total": counted.n_total,
        "d": values["tokens"],
        "batch_tokens": values["batch_tokens"],
        "steps": values["steps"],
        "lr": values["learning_rate"],
        "train_flops": 6 * counted.n_active * values["tokens"],
        "loss": loss,
    }
    wanted = {name: planned[name] for name in actual if name in planned}
    rows = [[n, x, actual[n], 100 * (actual[n] / x - 1)] for n, x in wanted.items()]
    caption = f"Parameters are counted as {counts}."
    inside = None
    if {"loss_low", "loss_high"} <= planned.keys():
        inside = planned["loss_low"] <= loss <= planned["loss_high"]
        caption += f" The loss lies {'inside' if inside else 'outside'} the planned interval."
    if "loss" in planned:
        caption += " A planned loss holds for the tokenizer and texts that its law was fitted to."
    columns = ["what", "planned", "actual", "change, %"]
    table = Table(title="Plan file and actual", columns=columns, rows=rows, caption=caption)
    numbers: dict[str, Any] = {"planned": wanted, "actual": {n: actual[n] for n in wanted}}
    if inside is not None:
        numbers["loss_inside_interval"] = inside
    return (Told(section="notes", numbers={"against_plan": numbers}, blocks=(table,)),)


def _plan_rows(plan: Mapping[str, Any]) -> list[list[Any]]:
    shape, sources = plan["shape"], plan["sources"]
    rows = [[name, value, sources.get("shape", "")] for name, value in shape.items()]
    rows = [[n, v, sources.get(n, s)] for n, v, s in rows]
    for name, value in plan["values"].items():
        rows.append([name, value, sources.get(name, "follows")])
    return rows
