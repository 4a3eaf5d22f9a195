"""Training runs as columns: what is read, what is left out and why, what is suspicious."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from burnish.base.errors import InputError
from burnish.contracts.law import Column
from burnish.scaling.settings import DataSettings
from burnish.scaling.table import Table, match_columns, number, read_table

KNOWN: Mapping[str, Sequence[str]] = {
    "n": ("params", "parameters", "numparams", "nparams", "modelsize", "size", "activeparams"),
    "d": ("tokens", "numtokens", "trainingtokens", "traintokens", "data"),
    "loss": ("finalloss", "valloss", "validationloss", "evalloss", "testloss", "trainloss"),
    "c": ("flops", "flop", "trainingflops", "trainingflop", "compute", "totalflops"),
    "e": ("experts", "numexperts", "nume", "nexperts"),
    "k": ("topk", "activeexperts", "expertspertoken"),
    "granularity": ("g", "gran"),
    "flops_per_token": ("m", "flopspertoken"),
    "batch": ("batchtokens", "batchsize", "bs", "globalbatchsize"),
    "lr": ("learningrate", "peaklr", "eta"),
    "total_d": ("totaltokens", "plannedtokens"),
    "counts": ("convention", "counting"),
}
TEXTS = ("counts",)
DENSE_LIMIT, SPARSE_LIMIT = 1e-6, 1e7  # tokens per parameter that look like another unit
SAME_COMPUTE = 0.1  # relative distance from 6ND that is worth a word


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Finished runs. `given` are the columns of the file; `notes` are remarks for the report."""

    columns: Mapping[str, Column]
    given: Sequence[str]
    lines: Sequence[int]
    counts: str
    notes: Sequence[str] = ()
    left_out: Sequence[Mapping[str, object]] = field(default=())
    seed_noise: Mapping[str, float] | None = None

    @property
    def loss(self) -> Column:
        """Losses [nats]."""
        return self.columns["loss"]

    def take(self, chosen: np.ndarray) -> "Runs":
        """A subset of the runs, by index or mask."""
        lines = [int(line) for line in np.asarray(self.lines)[chosen]]
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Runs(columns=columns, given=self.given, lines=lines, counts=self.counts)


def read_runs(settings: DataSettings) -> Runs:
    """Read a table of runs and clean it; everything left out is noted.

    Needs `n` and `loss`, and `d` or `c` (then D = C / 6N, or C over FLOPs per token). Rows without
    finite positive numbers, unfinished runs (`d` below `total_d`) and exact duplicates are left
    out and told; one configuration with several losses is kept, as seeds.
    Raises: MissingFileError; InputError.
    Source: ours. Oracle: tests/scaling/test_runs.py::test_cases
    """
    table = read_table(Path(settings.path))
    names = match_columns(table, settings.columns, KNOWN, ("n", "loss"))
    if not {"d", "c"} & names.keys():
        match_columns(table, settings.columns, KNOWN, ("n", "d", "loss"))
    counts = _convention(table, names, settings)
    left_out: list[Mapping[str, object]] = []
    rows = _numbers(table, names, settings.decimal, left_out)
    rows, notes = _merged(_finished(rows, left_out))
    if not rows:
        rule = "must contain finished runs with positive n, d and loss"
        why = "; ".join(f"line {x['line']}: {x['why']}" for x in left_out[:3]) or "it has no rows"
        raise InputError(table.name, 0, rule, remedy=f"Left out: {why}")
    columns = {name: np.array([row[name] for row in rows]) for name in names if name not in TEXTS}
    notes += _complete(columns)
    keep = np.argsort(columns["loss"], kind="stable")
    keep = np.sort(keep[: len(keep) - settings.drop_highest])
    if settings.drop_highest:
        notes.append(f"the {settings.drop_highest} runs of highest loss are left out, as asked")
    runs = Runs(
        columns=columns, given=list(names), lines=[int(row["line"]) for row in rows], counts=counts
    ).take(keep)
    notes += _doubts(runs)
    noise = _seed_noise(runs)
    if noise:
        notes.append(
            f"{noise['num_configurations']} configurations have several losses, taken as seeds: "
            f"a log loss varies by {noise['sd_log_loss']:.2g} between them"
        )
    for row in left_out:
        notes.append(f"line {row['line']} left out: {row['why']}")
    return Runs(
        columns=runs.columns, given=runs.given, lines=runs.lines, counts=counts,
        notes=notes, left_out=left_out, seed_noise=noise,
    )  # fmt: skip


def _convention(table: Table, names: Mapping[str, str], settings: DataSettings) -> str:
    """How `n` is counted. Raises: InputError, where rows differ."""
    if "counts" not in names:
        return settings.counts
    found = Counter(row[names["counts"]] for row in table.rows)
    if len(found) > 1:
        rule = "must be the same in all rows"
        remedy = "Convert n to one convention first; `burnish scaling count` shows each"
        raise InputError(f"{table.name} column counts", dict(found), rule, remedy=remedy)
    return next(iter(found), settings.counts)


def _numbers(
    table: Table,
    names: Mapping[str, str],
    decimal: str,
    left_out: list[Mapping[str, object]],
) -> list[dict[str, float]]:
    rows = []
    for line, row in zip(table.lines, table.rows, strict=True):
        values: dict[str, float] = {"line": line}
        for ours, theirs in names.items():
            if ours in TEXTS:
                continue
            text = row.get(theirs, "")
            value = number(text, decimal, f"{table.name}:{line} column {theirs}")
            if value is None or not np.isfinite(value) or value <= 0:
                left_out.append({"line": line, "why": f"{ours} is {text or 'empty'}"})
                break
            values[ours] = value
        else:
            rows.append(values)
    return rows


def _finished(
    rows: list[dict[str, float]], left_out: list[Mapping[str, object]]
) -> list[dict[str, float]]:
    """Runs that reached their planned tokens; the schedules of others were cut short."""
    kept = []
    for row in rows:
        if row.get("d", 0) < row.get("total_d", 0) * (1 - 1e-6):
            why = "an intermediate checkpoint: d is below total_d"
            left_out.append({"line": int(row["line"]), "why": why})
        else:
            kept.append(row)
    return kept


def _merged(rows: list[dict[str, float]]) -> tuple[list[dict[str, float]], list[str]]:
    """Rows without exact repetitions, and how many there were."""
    found: dict[tuple[tuple[str, float], ...], dict[str, float]] = {}
    for row in rows:
        found.setdefault(tuple((k, v) for k, v in row.items() if k != "line"), row)
    lost = len(rows) - len(found)
    return list(found.values()), [f"{lost} exact duplicates merged"] if lost else []


def _complete(columns: dict[str, Column]) -> list[str]:
    """Fill in what follows: tokens from compute or compute from tokens, dense defaults."""
    notes = []
    if "d" not in columns:
        if "flops_per_token" in columns:
            columns["d"] = columns["c"] / columns["flops_per_token"]
            rule = "d = c / flops_per_token"
        else:
            columns["d"] = columns["c"] / (6 * columns["n"])
            rule = "d = c / (6 n)"
        ends = dict.fromkeys(f"{end:.6g}" for end in (columns["d"].min(), columns["d"].max()))
        notes.append(f"{rule}: {' to '.join(ends)} tokens")
    elif "c" not in columns:
        per_token = columns.get("flops_per_token", 6 * columns["n"])
        columns["c"] = per_token * columns["d"]
    ones = np.ones_like(columns["n"])
    columns.setdefault("e", ones)
    columns.setdefault("k", np.minimum(ones, columns["e"]))
    return notes


def _doubts(runs: Runs) -> list[str]:
    """What looks like a mistake of units or conventions."""
    notes, columns = [], runs.columns
    ratio = columns["d"] / columns["n"]
    if ratio.min() < DENSE_LIMIT:
        notes.append(f"d / n is {ratio.min():.1e}: d looks like another unit, perhaps billions")
    if ratio.max() > SPARSE_LIMIT:
        notes.append(f"d / n is {ratio.max():.1e}: n looks like another unit, perhaps millions")
    if "c" in runs.given and "d" in runs.given:
        share = columns["c"] / (6 * columns["n"] * columns["d"])
        if np.abs(share - 1).max() > SAME_COMPUTE:
            notes.append(
                f"c / (6 n d) lies in [{share.min():.3g}, {share.max():.3g}]: allocation "
                "exponents are for C = 6ND, not for this c"
            )
    if (columns["k"] > columns["e"]).any():
        notes.append("k is larger than e in some rows")
    return notes


def _seed_noise(runs: Runs) -> Mapping[str, float] | None:
    """Spread of log loss among runs of one configuration, pooled; None without such runs."""
    names = [name for name in runs.columns if name not in ("loss", "line")]
    groups: dict[tuple[float, ...], list[float]] = defaultdict(list)
    for index, loss in enumerate(runs.loss):
        groups[tuple(float(runs.columns[name][index]) for name in names)].append(np.log(loss))
    many = [np.array(values) for values in groups.values() if len(values) > 1]
    if not many:
        return None
    freedom = sum(len(values) - 1 for values in many)
    squares = sum(float(np.square(values - values.mean()).sum()) for values in many)
    return {"sd_log_loss": float(np.sqrt(squares / freedom)), "num_configurations": len(many)}
