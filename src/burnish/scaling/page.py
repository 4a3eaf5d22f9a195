"""Pages of fits, plans and ladders, in blocks; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.contracts.page import Block, Chart, Page, Series, Slider, Table, Text

Result = Mapping[str, Any]
NONE = "none"


def fit_page(told: Result, points: Sequence[Mapping[str, float]]) -> Page:
    """Verdict, tiles, data beside the law, residuals, parameters, ranking, IsoFLOP, notes."""
    blocks: list[Block] = [data_chart(points), residual_chart(points), params_table(told)]
    blocks += [ranking_table(told)] if "ranking" in told else []
    blocks += isoflop_blocks(told)
    blocks += [rules_table(told["rules"])] if told.get("rules") else []
    return Page(
        title=f"burnish scaling fit: {told['law']}",
        verdict=fit_verdict(told),
        good="measured",
        headline=fit_tiles(told),
        blocks=[*blocks, notes_block(told)],
    )


def fit_verdict(told: Result) -> str:
    """One sentence: which law, how well it extrapolates, what it does not tell."""
    says = f"{told['law']} on {told['num_runs']} runs"
    held = told["holdout_error"]
    says += f" predicts the largest runs within {percent(held)}" if held is not None else ""
    if told["not_identified"]:
        says += f"; {'; '.join(told['not_identified'][:2])}"
    return says + "."


def fit_tiles(told: Result) -> list[tuple[str, str, str]]:
    """Held-out error, allocation exponent, irreducible loss."""
    held, a = told["holdout_error"], told["allocation_exponent"]
    detail = told["holdout"].get("why") or (
        f"{told['holdout']['num_above']} runs, up to {told['holdout']['factor']:.2g} times "
        "the compute of the fitted ones"
    )
    base = told["baseline_holdout"]["median"]
    tiles = [
        ("Held-out error", percent(held), detail),
        ("Law of compute alone", percent(base), "the same runs held out"),
    ]
    if a is not None:
        tiles.append(("Allocation exponent", f"{a:.3f}", ends_text(told, "allocation_exponent")))
    if "sigma" in told["params"]:
        tiles.append(
            ("Irreducible loss", f"{told['params']['sigma']:.3f}", ends_text(told, "sigma"))
        )
    return tiles


def percent(value: float | None) -> str:
    """A fraction in percent, or "none"."""
    return NONE if value is None else f"{100 * value:.2g}%"


def ends_text(told: Result, name: str) -> str:
    """An interval as text."""
    ends = told["intervals"].get(name)
    if not ends:
        return "no interval"
    share = f"{100 * told['confidence']:g}%"
    return f"{share} interval {ends[0]:.4g} to {ends[1]:.4g}"


def params_table(told: Result) -> Table:
    """Parameters with intervals."""
    rows = []
    for name, value in told["params"].items():
        low, high = told["intervals"].get(name) or (None, None)
        rows.append([name, value, low, high])
    for family, value in told["allocation"].items():
        key = "allocation_exponent" if family in ("all", "dense") else f"allocation:{family}"
        low, high = told["intervals"].get(key) or (None, None)
        rows.append([f"a ({family})", value, low, high])
    condition = told["condition"]
    caption = "Intervals: bootstrap over runs. " + (
        f"Condition number of the normal matrix: {condition:.2g}."
        if condition is not None
        else "The normal matrix is singular."
    )
    return Table(
        title="Parameters", columns=["parameter", "value", "low", "high"], rows=rows,
        caption=caption,
    )  # fmt: skip


def data_chart(points: Sequence[Mapping[str, float]]) -> Chart:
    """Losses and the law's, over compute."""
    rows = sorted(points, key=lambda row: row["c"])
    x = [row["c"] for row in rows]
    return Chart(
        title="Runs and the law",
        kind="points",
        series=[
            Series(name="run", x=x, y=[row["loss"] for row in rows]),
            Series(name="law", x=x, y=[row["fitted"] for row in rows]),
        ],
        x_label="training FLOPs",
        y_label="loss, nats",
        x_scale="log",
    )


def residual_chart(points: Sequence[Mapping[str, float]]) -> Chart:
    """The law's residuals, over compute."""
    rows = sorted(points, key=lambda row: row["c"])
    gaps = [100 * (row["loss"] / row["fitted"] - 1) for row in rows]
    return Chart(
        title="Residuals",
        kind="points",
        series=[Series(name="residual", x=[row["c"] for row in rows], y=gaps)],
        x_label="training FLOPs",
        y_label="loss above the law, %",
        caption="A trend means that the law is of the wrong form.",
        x_scale="log",
    )


def ranking_table(told: Result) -> Table:
    """All laws by their error on the largest held-out runs."""
    rows = [
        [row["law"], row["holdout_error"], row["rmse_log_loss"], row["aic"], row["identified"]]
        for row in told["ranking"]
    ]
    refused = "; ".join(f"{row['law']}: {row['why']}" for row in told["refused"])
    return Table(
        title="Laws, by extrapolation",
        columns=["law", "held-out error", "RMSE of log loss", "AIC", "identified"],
        rows=rows,
        caption=f"Not fitted: {refused}." if refused else "",
    )


def isoflop_blocks(told: Result) -> list[Block]:
    """Vertices of IsoFLOP profiles; nothing where there are no two profiles."""
    found = told.get("isoflop")
    if not found:
        return []
    rows = [[row["c"], row["n"], row["bias"]] for row in found["vertices"]]
    rejected = "; ".join(f"{row['c']:.3g}: {row['why']}" for row in found["rejected"])
    says = f"N_opt ~ C^{found['exponent']:.3f}. " if found["exponent"] is not None else ""
    if "exponent_corrected" in found:
        says += f"Without the parabolas' bias {found['exponent_corrected']:.3f}. "
    return [
        Table(
            title="IsoFLOP profiles",
            columns=["training FLOPs", "N of the vertex", "bias of ln N"],
            rows=rows,
            caption=says + (f"Rejected: {rejected}." if rejected else ""),
        )
    ]


def rules_table(rules: Mapping[str, Any]) -> Table:
    """The rules of batch and learning rate that were fitted."""
    rows = [
        [name, row.get("factor"), row.get("exponents") or row.get("why")]
        for name, row in rules.items()
        if isinstance(row, Mapping)
    ]
    return Table(
        title="Batch and learning rate",
        columns=["rule", "factor", "exponents"],
        rows=rows,
        caption=f"From {rules['rows']}; logs to base {rules['log_base']}.",
    )


def notes_block(told: Result) -> Text:
    """Notes on what was left out, assumed or not identified."""
    lines = [*told["notes"], *told.get("not_identified", [])]
    return Text(title="Notes", text="\n\n".join(map(str, lines)) or "Nothing to tell.")


def plan_page(told: Result) -> Page:
    """Verdict, tiles, the slider over budgets, the plan with intervals, rules, notes."""
    blocks: list[Block] = [plan_slider(told), slider_chart(told), plan_table(told)]
    if "dense" in told:
        blocks.append(dense_table(told))
    rows = [[r["rule"], r["batch_tokens"], r["lr"]] for r in told["other_rules"]]
    blocks.append(
        Table(title="Published rules", columns=["rule", "batch, tokens", "learning rate"],
              rows=rows, caption=f"In force: {told['rule']}.")
    )  # fmt: skip
    return Page(
        title=f"burnish scaling plan: {told['flops']:.3g} FLOPs",
        verdict=plan_verdict(told),
        good="measured",
        headline=[
            ("Parameters", f"{told['n']:.3g}", plan_ends(told, "n")),
            ("Tokens", f"{told['d']:.3g}", plan_ends(told, "d")),
            ("Loss", f"{told['loss']:.3f}", plan_ends(told, "loss")),
        ],
        blocks=[*blocks, Text(title="Notes", text="\n\n".join(told["notes"]))],
    )


def plan_verdict(told: Result) -> str:
    """One sentence: what to train for how long, and what to expect."""
    what = f"{told['experts']} experts, top {told['top_k']}" if told["experts"] > 1 else "dense"
    return (
        f"{told['flops']:.3g} FLOPs: {told['n']:.3g} parameters ({what}) on {told['d']:.3g} "
        f"tokens reach loss {told['loss']:.3f} by {told['law']}."
    )


def plan_ends(told: Result, name: str) -> str:
    """An interval as text."""
    ends = told["intervals"][name]
    return f"{ends[0]:.3g} to {ends[1]:.3g}" if ends else "no interval"


def plan_slider(told: Result) -> Slider:
    """The plan at other budgets."""
    names = ("flops", "n", "d", "batch_tokens", "lr", "loss")
    rows = [[float(f"{row[name]:.4g}") for name in names] for row in told["slider"]]
    budgets = [row["flops"] for row in told["slider"]]
    return Slider(
        title="Other budgets",
        columns=["training FLOPs", "parameters", "tokens", "batch, tokens", "learning rate",
                 "loss, nats"],
        rows=rows,
        start=min(range(len(budgets)), key=lambda i: abs(budgets[i] - told["flops"])),
        caption="The law's own values; intervals are in the table below for the budget asked for.",
    )  # fmt: skip


def slider_chart(told: Result) -> Chart:
    """Loss over budgets."""
    rows = told["slider"]
    return Chart(
        title="Loss of the best model",
        kind="line",
        series=[Series(name="loss", x=[r["flops"] for r in rows], y=[r["loss"] for r in rows])],
        x_label="training FLOPs",
        y_label="loss, nats",
        x_scale="log",
    )


def plan_table(told: Result) -> Table:
    """The plan with its intervals."""
    rows = []
    for name in ("n", "d", "batch_tokens", "lr", "loss"):
        low, high = told["intervals"][name] or (None, None)
        rows.append([name, told[name], low, high])
    rows += [["n_total", told["n_total"], None, None], ["num_steps", told["num_steps"], None, None]]
    return Table(title="Plan", columns=["what", "value", "low", "high"], rows=rows)


def dense_table(told: Result) -> Table:
    """The mixture beside the dense model of the same budget."""
    dense = told["dense"]
    low, high = dense["interval"] or (None, None)
    return Table(
        title="Dense and mixture of experts, same FLOPs",
        columns=["model", "parameters", "tokens", "loss", "low", "high"],
        rows=[
            ["dense", dense["n"], dense["d"], dense["loss"], None, None],
            [f"E={told['experts']}", told["n"], told["d"], told["loss"], None, None],
            ["MoE minus dense", None, None, dense["moe_minus_dense"], low, high],
        ],
    )


def ladder_page(told: Result, points: Sequence[Mapping[str, float]]) -> Page:
    """The fit's page with the prediction of the largest run and what to run next."""
    page, said = fit_page(told, points), told["prediction"]
    verdict = (
        f"From runs of at most {1 / said['factor']:.2g} of its compute, {told['law']} predicts the "
        f"largest run within {percent(abs(said['error']))}; compute alone within "
        f"{percent(abs(said['compute_law_error']))}."
    )
    rows = [[r["n"], r["d"], r.get("e"), r["c"], r["variance_cut"]] for r in told["next"]]
    following = Table(
        title="Next runs", columns=["n", "d", "e", "training FLOPs", "variance cut"], rows=rows,
        caption="By the share of the target prediction's variance that each removes per FLOP.",
    )  # fmt: skip
    tile = ("Largest run", f"{said['predicted']:.3f}", f"actual {said['actual']:.3f}")
    return Page(
        title="burnish scaling ladder", verdict=verdict, good="measured",
        headline=[tile, *page.headline], blocks=[following, *page.blocks],
    )  # fmt: skip


def cells_table(cells: Sequence[Mapping[str, Any]]) -> Table:
    """Cells of a ladder that is to be run."""
    names = ["name", "n", "d_tokens", "experts", "batch_tokens", "lr", "train_flops"]
    return Table(
        title="Cells", columns=names, rows=[[cell[name] for name in names] for cell in cells],
        caption="Each is a file in plans/, as `arch pretrain --plan` takes it.",
    )  # fmt: skip
