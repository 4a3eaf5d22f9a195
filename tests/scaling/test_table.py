"""Tables as people export them."""

import pytest

from burnish.base.errors import InputError
from burnish.scaling.runs import KNOWN
from burnish.scaling.table import match_columns, number, parse_columns, read_table


@pytest.fixture
def table_of(tmp_path):
    def write(text, name="runs.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_table(path)

    return write


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_marks(mark, separator, table_of):
    text = f"{mark}n{separator} d{separator}loss\n\n1e6{separator}2e7{separator}3.9\n"
    table = table_of(text)
    assert table.header == ["n", "d", "loss"]
    assert table.rows == [{"n": "1e6", "d": "2e7", "loss": "3.9"}]
    assert table.lines == [3]


def test_rows_of_other_files(table_of):
    table = table_of('{"n": 1e6, "loss": 3.9}\n{"n": 2, "d": null}\n', "runs.jsonl")
    assert table.header == ["n", "loss", "d"]
    assert table.rows[1] == {"n": "2", "d": ""}


def test_a_row_of_another_width_is_refused(table_of):
    with pytest.raises(InputError, match=r"runs\.csv:3 must have 3 cells"):
        table_of("n,d,loss\n1,2,3\n1,2,3,9\n")


def test_an_empty_table_is_refused(table_of):
    with pytest.raises(InputError, match="header"):
        table_of("\n\n")


def test_columns_are_mapped(table_of):
    assert parse_columns("n=Params, loss='Final Loss'") == {"n": "Params", "loss": "Final Loss"}
    table = table_of("Params,Final Loss,D\n1,2,3\n")
    found = match_columns(table, "n=Params,loss='Final Loss'", KNOWN, ("n", "loss"))
    assert found == {"n": "Params", "d": "D", "loss": "Final Loss"}


@pytest.mark.parametrize(
    ("header", "columns", "says"),
    [
        ("Params,Tokens,Final Loss", "", "--columns n=Params,d=Tokens,loss='Final Loss'"),
        ("n,d,los", "", "loss=los"),
        ("parameters,d,loss", "", "n=parameters"),
        ("n,d,valloss", "", "loss=valloss"),
        ("n,d,loss", "n=Parms", "is not a column of runs.csv"),
        ("n,d,loss", "los=loss", "did you mean loss"),
        ("n,d,loss", "nonsense", "must be pairs ours=theirs"),
    ],
)
def test_nearly_right_names_are_suggested(header, columns, says, table_of):
    table = table_of(f"{header}\n1,2,3\n")
    with pytest.raises(InputError) as caught:
        match_columns(table, columns, KNOWN, ("n", "loss"))
    assert says in str(caught.value) and len(str(caught.value)) <= 400


def check_decimal_commas(read):
    with pytest.raises(InputError, match=r"line 2.*data\.decimal=,"):
        read("3,9", ".", "line 2")
    assert read("3,9", ",", "line 2") == 3.9
    assert read("1.234,5", ",", "line 2") == 1234.5
    assert read("1e7", ",", "line 2") == 1e7
    assert read("x", ".", "line 2") is None


def test_decimal_commas_are_never_thousands():
    check_decimal_commas(number)


def test_planted_commas_taken_for_thousands():
    with pytest.raises(pytest.fail.Exception):
        check_decimal_commas(lambda text, decimal, where: float(text.replace(",", "")))
