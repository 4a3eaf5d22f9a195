"""Numbers are merged, tables joined, sections ordered."""

from burnish.contracts.page import Table, Text
from burnish.contracts.step import Told
from burnish.jobs.result import in_sections, joined_tables, merge


def test_nested_numbers_are_merged_and_lists_continued() -> None:
    target = {"a": {"b": 1, "c": [1]}, "d": 1}
    merge(target, {"a": {"c": [2], "e": {"f": 3}}, "d": 2, "g": [5]})
    assert target == {"a": {"b": 1, "c": [1, 2], "e": {"f": 3}}, "d": 2, "g": [5]}


def test_merging_leaves_what_was_told_as_it_is() -> None:
    told, target = {"a": {"b": 1}}, {}
    merge(target, told)
    merge(target, {"a": {"c": 2}})
    assert told == {"a": {"b": 1}} and target == {"a": {"b": 1, "c": 2}}


def test_tables_of_one_title_are_joined_at_the_first_place() -> None:
    def table(title: str, row: str, caption: str = "") -> Table:
        return Table(title=title, columns=["x"], rows=[[row]], caption=caption)

    text = Text(title="A", text="no table")
    blocks = [table("A", "1", "first"), text, table("B", "2"), table("A", "3"), text]
    found = joined_tables(blocks)
    assert [block.title for block in found] == ["A", "A", "B", "A"]
    assert (found[0].rows, found[0].caption) == ([["1"], ["3"]], "first")  # type: ignore[union-attr]
    assert joined_tables([*blocks, table("A", "4", "last")])[0].caption == "last"  # type: ignore[union-attr]


def test_sections_are_ordered_and_stable() -> None:
    told = [
        Told(section="notes", numbers={"n": 1}),
        Told(numbers={"n": 2}),
        Told(section="controls", numbers={"n": 3}),
        Told(numbers={"n": 4}),
    ]
    assert [one.numbers["n"] for one in in_sections(told)] == [2, 4, 3, 1]
