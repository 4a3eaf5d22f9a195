"""What Node says of its own coverage: counts of ranges of the text, and source maps."""

import json
from collections.abc import Iterator, Sequence

_DIGITS = {c: i for i, c in enumerate(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)}  # fmt: skip


def reached_lines(report: str, name: str, positions: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The lines that ran, of `positions`: pairs of a line and an offset in UTF-16 units.

    The innermost range around an offset says how often it ran. Raises: ValueError, KeyError, for
    another format, or a report that does not know the file `name`.
    Source: V8's block coverage, as `NODE_V8_COVERAGE` writes it.
    Oracle: tests/analysis/test_coverage_tools.py::test_innermost_ranges_by_brute_force
    """
    ranges = [
        (one["startOffset"], one["endOffset"], one["count"])
        for script in json.loads(report)["result"]
        if script["url"].endswith(f"/{name}")
        for function in script["functions"]
        for one in function["ranges"]
    ]
    if not ranges:
        raise ValueError(f"nothing is said of {name}")
    return frozenset(line for line, offset in positions if _count(ranges, offset))


def _count(ranges: Sequence[tuple[int, int, int]], offset: int) -> int:
    around = [(end - start, count) for start, end, count in ranges if start <= offset < end]
    return min(around)[1] if around else 0


def line_positions(code: str, lines: Sequence[int]) -> list[tuple[int, int]]:
    """Each line with the offset of its first character that is no space, in UTF-16 units."""
    texts, starts = code.split("\n"), _starts(code)
    return [
        (line, starts[line - 1] + len(texts[line - 1]) - len(texts[line - 1].lstrip()))
        for line in lines
    ]


def mapped_positions(code: str, source_map: str, lines: Sequence[int]) -> list[tuple[int, int]]:
    """As `line_positions`, for lines of the text that `code` was translated from.

    A line that left nothing in the translation has no position.
    Source: Source Map revision 3: base-64 quantities of variable length.
    Oracle: tests/analysis/test_coverage_tools.py::test_a_source_map_is_read
    """
    first: dict[int, tuple[int, int, int]] = {}  # line -> (column there, line here, column here)
    for here, column, line, at in _segments(json.loads(source_map)["mappings"]):
        first[line] = min(first.get(line, (at, here, column)), (at, here, column))
    starts = _starts(code)
    return [(line, starts[first[line][1]] + first[line][2]) for line in lines if line in first]


def _starts(code: str) -> list[int]:
    """Where each line begins, in UTF-16 units, which is what V8 counts."""
    starts = [0]
    for text in code.split("\n"):
        starts.append(starts[-1] + len(text.encode("utf-16-le", "replace")) // 2 + 1)
    return starts


def _segments(mappings: str) -> Iterator[tuple[int, int, int, int]]:
    """Line and column here (from 0), and line (from 1) and column there, of each mapping."""
    source_line = source_column = 0
    for here, group in enumerate(mappings.split(";")):
        column = 0
        for segment in filter(None, group.split(",")):
            values = list(_quantities(segment))
            column += values[0]
            if len(values) >= 4:
                source_line, source_column = source_line + values[2], source_column + values[3]
                yield here, column, source_line + 1, source_column


def _quantities(segment: str) -> Iterator[int]:
    value = shift = 0
    for character in segment:
        digit = _DIGITS[character]
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            yield -(value >> 1) if value & 1 else value >> 1
            value = shift = 0
