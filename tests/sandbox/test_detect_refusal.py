"""Texts in none of the languages get no name, and programs keep theirs."""

import pytest
from fixtures.no_programs import TEXTS
from fixtures.programs import DIALECTS, random_tree, write

from burnish.sandbox import detection as detecting
from burnish.sandbox.detect_refusal import is_data, r_wrong_frac, refuses
from burnish.sandbox.detection import detect


def check_texts(detected):
    assert {what: name for what, text in TEXTS.items() if (name := detected(text))} == {}


def test_texts_that_are_no_program():
    assert len(TEXTS) > 40
    check_texts(lambda text: detect(text).language)


def test_planted_detector_that_refuses_nothing(monkeypatch):
    monkeypatch.setattr(detecting, "refuses", lambda *given: False)
    with pytest.raises(AssertionError):
        check_texts(lambda text: detect(text).language)


@pytest.mark.parametrize("language", DIALECTS)
def test_programs_are_not_refused(language):
    for seed in range(3):
        assert not refuses(write(random_tree(seed), language).code, language, 0.0, 0.9)


def test_a_hint_is_believed():
    assert detect(TEXTS["make2"], "main.sh").language == "bash"
    assert detect("#!/bin/bash\nmy_own_tool --x\n").language == "bash"


def test_data_is_no_program():
    for text in ('{"a": 1}', "[1, 2]", '{"a": 1}\n{"b": []}\n', "[s]\na = 1\n", "; x\n[s]\na=1"):
        assert is_data(text), text
    for text in ("{ echo a; }", "[a for a in b]", "x = {'a': 1}", "[s]\n", "1", "[ -f x ] && ls"):
        assert not is_data(text), text


def test_tables_are_data():
    for text in (
        "a,b,c\n1,2,3",
        "id,name\n1,anna\n2,bert",
        "a;b\nx; -1.5 ",
        "5.1;3.5;x\n4.9;3.0;y\n",
        'a\tb\tc\n"d e"\tf\t1\n',
    ):
        assert is_data(text), text
    row = "1,2,3\n"
    assert is_data(row * (20_000 // len(row) + 1))  # a cell of its last line is cut off
    for text in (
        "a,b,c", "a,b,c\n1,2\n", "import a, b\nimport c, d\n", '"a,b,c\n1,2,3',
        "a, b, c = 1, 2, 3\nd, e, f = a, b, c",
    ):  # fmt: skip
        assert not is_data(text), text


def test_an_unsure_answer_must_parse():
    assert refuses("x = 1\n", "python", 0.03, 0.59)
    assert not refuses("x = 1\n", "python", 0.03, 0.61)
    assert not refuses("x = 1\n", "python", 0.01, 0.59)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [("x <- c(1, 2)", 0), ("if (a) b else c", 0), ("for (i in 1:3) print(i)", 0),
     ("f <- \\(x) x", 0),
     ("a %in% b", 0), ('cat("a b", x)', 0), ("# a remark of words", 0), ("function(x) x + 1", 0),
     ("module Main where", 1), ("for i in x", 1), ("return a", 1), ("let x = 2", 1), ("f a b", 1),
     ("def f(x):", 1), ("x => y", 1)],
)  # fmt: skip
def test_operands_without_operator_are_not_r(line, wrong):
    assert r_wrong_frac(line) == wrong


def test_a_large_program_survives_one_macro():
    functions = "".join(f"int f{i}(int a) {{\n  return a + {i};\n}}\n\n" for i in range(20))
    assert not refuses("#define X(\nFOO(a b c) !!\n" + functions, "c", 0.9, 0.9)
    assert refuses("let x = 1 in\nmatch x with\n" * 9, "c", 0.9, 0.9)


def test_of_few_pieces_more_must_be_wrong():
    """What is wrong in most of six pieces needs 5% of the text in errors, in five 30%."""
    for num, refused in ((5, False), (6, True)):
        code = "let x = in\n" * num + "x = 1\n"  # the last piece does not count
        assert refuses(code, "c", 0.29, 0.9) is refused
        assert refuses(code, "c", 0.31, 0.9)
        assert not refuses(code, "c", 0.05, 0.9)
