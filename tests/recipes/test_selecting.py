"""The selection against its definition, written out by counting."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.contracts.record import Record
from burnish.recipes.selecting import select_right
from burnish.recipes.settings import SelectSettings

Select = Callable[[Sequence[Record], SelectSettings], list[Record]]

FIELDS = st.tuples(
    st.sampled_from(["t1", "t2", "t3"]),
    st.sampled_from(["right", "right", "right", "wrong", "unparsable", "unscored"]),
    st.sampled_from(["eos", "eos", "eos", "length", "stop"]),
    st.sampled_from(["a b", "a  b", " a b\n", "a", "b", "c", "ab"]),
    st.integers(1, 4),
)
RECORDS = st.lists(FIELDS, max_size=25).map(
    lambda rows: [
        Record(
            id=f"{row[0]}/{index}",
            task_id=row[0],
            group="g",
            prompt=row[0],
            answer=row[3],
            tokens=row[4],
            finish=row[2],
            verdict=row[1],
        )
        for index, row in enumerate(rows)
    ]
)
MIXED = [
    Record(id=f"t1/{i}", task_id="t1", group="g", prompt="p", answer=text, tokens=tokens,
           finish=finish, verdict=verdict)
    for i, (text, tokens, finish, verdict) in enumerate(
        [
            ("long answer", 9, "eos", "right"), ("short", 3, "eos", "right"),
            ("short ", 3, "eos", "right"), ("cut", 1, "length", "right"),
            ("no", 1, "eos", "wrong"), ("middle", 5, "eos", "right"),
        ]
    )
]  # fmt: skip


def wanted(records: Sequence[Record], cap: int) -> list[str]:
    """Ids, each kept if fewer than `cap` better ones of its task are there."""
    good = [r for r in records if r.verdict == "right" and r.finish == "eos"]
    first = [
        r
        for i, r in enumerate(good)
        if not any(
            o.task_id == r.task_id and o.answer.split() == r.answer.split() for o in good[:i]
        )
    ]

    def num_better(record: Record) -> int:
        mine = (record.tokens, record.id)
        return sum(o.task_id == record.task_id and (o.tokens, o.id) < mine for o in first)

    return sorted(record.id for record in first if num_better(record) < cap)


def check_selection(select: Select, records: Sequence[Record], cap: int) -> None:
    chosen = select(records, SelectSettings(max_per_task=cap))
    assert [record.id for record in chosen] == wanted(records, cap)
    assert all(record in records for record in chosen)


@given(records=RECORDS, cap=st.integers(1, 3))
def test_selection_by_brute_force(records: list[Record], cap: int) -> None:
    check_selection(select_right, records, cap)
    check_selection(select_right, MIXED, cap)


def test_by_hand() -> None:
    chosen = select_right(MIXED, SelectSettings(max_per_task=2))
    assert [record.answer for record in chosen] == ["short", "middle"]


@pytest.mark.parametrize(
    "mutant",
    [
        lambda records, settings: select_right(records, SelectSettings(max_per_task=99)),
        lambda records, settings: [r for r in records if r.verdict == "right"][:2],
        lambda records, settings: select_right(records[::-1], settings),
    ],
    ids=["no cap", "no order", "last duplicate instead of first"],
)
def test_planted_selections(mutant: Select) -> None:
    with pytest.raises(AssertionError):
        check_selection(mutant, MIXED, 2)
