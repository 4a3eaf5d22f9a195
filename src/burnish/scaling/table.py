"""A table of numbers with named columns, from CSV with any separator or from JSONL."""

import csv
import difflib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from burnish.base.errors import InputError
from burnish.base.files import read_text
from burnish.base.records import read_records

SEPARATORS = (";", "\t", ",")
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
MOST_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text under the table's own names; `lines` are those of the file, from 1."""

    name: str
    header: Sequence[str]
    rows: Sequence[Mapping[str, str]]
    lines: Sequence[int]


def read_table(path: Path) -> Table:
    """Read a CSV (separator `,`, `;` or tab, with or without a byte order mark) or JSONL file.

    Raises: MissingFileError; InputError, naming the line of a row that does not fit the header.
    Source: ours. Oracle: tests/scaling/test_table.py::test_separators_and_marks
    """
    if path.suffix in (".jsonl", ".json", ".parquet") or path.name.endswith(".jsonl.gz"):
        records = read_records(path)
        header = list(dict.fromkeys(str(key) for row in records for key in row))
        rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in records]
        return Table(name=path.name, header=header, rows=rows, lines=range(1, len(rows) + 1))
    text = read_text(path).removeprefix("\ufeff")
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise InputError(str(path), "", "must contain a header and rows", remedy="Export it again")
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    header: list[str] = []
    rows, lines = [], []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            continue
        where = f"{path.name}:{reader.line_num}"
        if len(cells) != len(header):
            rule = f"must have {len(header)} cells, as the header has"
            remedy = f"Cells are separated by {separator!r}; quote cells that contain one"
            raise InputError(where, separator.join(cells)[:80], rule, remedy=remedy)
        rows.append(dict(zip(header, (cell.strip() for cell in cells), strict=True)))
        lines.append(reader.line_num)
    return Table(name=path.name, header=header, rows=rows, lines=lines)


def parse_columns(text: str) -> dict[str, str]:
    """Read `n=Params,loss='Final Loss'` as our names and the table's.

    Raises: InputError. Source: ours. Oracle: tests/scaling/test_table.py::test_columns_are_mapped
    """
    if not text.strip():
        return {}
    found = {}
    parts = next(csv.reader([text.replace("'", '"')], skipinitialspace=True))
    joined = re.findall(r"""(\w+)=("[^"]*"|'[^']*'|[^,]*)""", text) if parts else []
    for ours, theirs in joined:
        found[ours.lower()] = theirs.strip().strip("\"'")
    if not found:
        rule = "must be pairs ours=theirs, separated by commas"
        remedy = "Write n=Params,d=Tokens,loss=Loss"
        raise InputError("--columns", text, rule, remedy=remedy)
    return found


def match_columns(
    table: Table, columns: str, known: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> dict[str, str]:
    """Our names for the table's columns: as given, else by equal name in any case.

    `known` maps our names to what else people call them, for the suggestion only: a column that
    is nearly right is never taken silently. Raises: InputError.
    Source: ours. Oracle: tests/scaling/test_table.py::test_nearly_right_names_are_suggested
    """
    given = parse_columns(columns)
    for ours, theirs in given.items():
        if ours not in known:
            near = difflib.get_close_matches(ours, known, n=1)
            remedy = f"Known columns: {', '.join(known)}"
            remedy += f"; did you mean {near[0]}" if near else ""
            raise InputError("--columns", ours, "is not a column of burnish", remedy=remedy)
        if theirs not in table.header:
            rule = f"is not a column of {table.name}"
            remedy = f"It has {', '.join(map(repr, table.header[:MOST_SHOWN]))}"
            raise InputError("--columns", theirs, rule, remedy=remedy)
    lower = {name.lower(): name for name in reversed(table.header)}
    found = {ours: lower[ours] for ours in known if ours in lower} | given
    if missing := [name for name in needed if name not in found]:
        guesses = {
            name: _nearest(name, table.header, known, fuzzy=name in missing)
            for name in known
            if name not in found
        }
        wanted = [n for n in known if guesses.get(n) and (n in missing or n in ("d", "c", "e"))]
        pairs = [f"{name}={_quoted(guesses[name])}" for name in wanted]
        rule = f"must have a column {', '.join(missing)}"
        remedy = f"Name it: --columns {','.join(pairs) or missing[0] + '=NAME'}"
        raise InputError(table.name, list(table.header[:MOST_SHOWN]), rule, remedy=remedy)
    return found


def numbers_in(
    table: Table,
    columns: str,
    known: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    positive: Sequence[str],
) -> list[dict[str, float]]:
    """The table's rows as finite numbers under our names; those of `positive` are above zero.

    Raises: InputError, naming line and column of a bad cell.
    Source: ours. Oracle: tests/scaling/test_noise_scale.py::test_rows_are_paired_by_step,
    tests/scaling/test_critical.py::test_a_table_of_steps_from_the_shell
    """
    names = match_columns(table, columns, known, needed)
    rows = []
    for line, row in zip(table.lines, table.rows, strict=True):
        values = {}
        for ours, theirs in names.items():
            where = f"{table.name}:{line} column {theirs}"
            value = number(row.get(theirs, ""), ".", where)
            if value is None or not np.isfinite(value) or (value <= 0 and ours in positive):
                rule = f"must be a number{' above zero' if ours in positive else ''}"
                raise InputError(where, row.get(theirs), rule, remedy="Leave the row out")
            values[ours] = value
        rows.append(values)
    return rows


def _nearest(
    ours: str, header: Sequence[str], known: Mapping[str, Sequence[str]], *, fuzzy: bool
) -> str:
    """The header's column that most looks like one of ours; "" if none does."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in header}
    names = [re.sub(r"[^a-z0-9]", "", name) for name in (ours, *known[ours])]
    for name in names:
        if name in plain:
            return plain[name]
    for name in names if fuzzy else ():
        if near := difflib.get_close_matches(name, plain, n=1, cutoff=0.75):
            return plain[near[0]]
    return ""


def _quoted(name: str) -> str:
    return f"'{name}'" if re.search(r"[^\w.-]", name) else name


def number(text: str, decimal: str, where: str) -> float | None:
    """A cell as a number, or None if it is none. Raises: InputError, for a decimal comma.

    Source: ours. Oracle: tests/scaling/test_table.py::test_decimal_commas_are_never_thousands
    """
    if decimal == ",":
        text = text.replace(".", "").replace(",", ".") if "," in text else text
    elif DECIMAL_COMMA.fullmatch(text):
        rule, remedy = "must use the decimal point", "Give --set data.decimal=, to read commas"
        raise InputError(where, text, rule, remedy=remedy)
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return None
