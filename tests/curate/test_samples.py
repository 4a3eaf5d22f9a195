"""Shapes of rows."""

import pytest

from burnish.curate.samples import ShapeError, read_sample

TALK = [("user", "Add"), ("assistant", "def add(): ...")]
SHAPES = [
    {"instruction": "Add", "response": "def add(): ..."},
    {"instruction": "Add", "input": "", "output": "def add(): ..."},
    {"prompt": "Add", "completion": "def add(): ..."},
    {"question": "Add", "answer": "def add(): ..."},
    {"messages": [{"role": r, "content": t} for r, t in TALK]},
    {"conversations": [{"from": "human", "value": "Add"}, {"from": "gpt", "value": TALK[1][1]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Add"}]},
                  {"role": "assistant", "content": TALK[1][1]}]},
    {"prompt": [{"role": "user", "content": "Add"}],
     "completion": [{"role": "assistant", "content": TALK[1][1]}]},
]  # fmt: skip


@pytest.mark.parametrize("row", SHAPES)
def test_shapes_give_the_same_turns(row):
    sample = read_sample(row, 7)
    assert [(t.role, t.text) for t in sample.turns] == TALK
    assert (sample.id, sample.question, sample.answer) == ("row-7", "Add", TALK[1][1])
    assert not sample.is_empty


def test_input_system_and_history():
    row = {"instruction": "Add", "input": "1, 2", "output": "3", "system": "Be short",
           "history": [["Hi", "Hello"]], "id": 0}  # fmt: skip
    sample = read_sample(row, 1)
    assert [t.role for t in sample.turns] == ["system", "user", "assistant", "user", "assistant"]
    assert (sample.question, sample.id) == ("Hi\nAdd\n1, 2", 0)


def test_indices_are_those_of_the_row():
    row = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                        {"role": "assistant", "content": "a"}]}  # fmt: skip
    assert [t.index for t in read_sample(row, 1).turns] == [0, 1, 2]


@pytest.mark.parametrize(
    ("row", "empty"),
    [
        ({"instruction": "", "response": ""}, True),
        ({"instruction": "  ", "response": "\n"}, True),
        ({"instruction": "Add", "response": ""}, True),
        ({"text": " "}, True),
        ({"text": "x"}, False),
        ({"prompt": "Add"}, True),
    ],
)
def test_blank_sides(row, empty):
    assert read_sample(row, 1).is_empty == empty


@pytest.mark.parametrize(
    "row",
    [{}, {"a": 1}, {"messages": "x"}, {"messages": [1]}, {"messages": [{"role": "king"}]},
     {"id": [1], "text": "x"}, {"messages": [{"role": "user", "content": 3}]}],
)  # fmt: skip
def test_rows_without_a_shape(row):
    with pytest.raises(ShapeError):
        read_sample(row, 1)
