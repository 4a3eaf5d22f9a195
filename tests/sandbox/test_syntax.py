"""Parsing: every grammar loads, errors are measured, what is missing is named."""

import os
import sys
from pathlib import Path

import pytest
from fixtures.programs import DIALECTS, random_tree, write

from burnish.base.errors import InputError, MissingExtraError, SettingError
from burnish.sandbox import syntax
from burnish.sandbox.detection import detect
from burnish.sandbox.languages import languages


@pytest.mark.parametrize("language", [n for n in languages.names() if n != "r"])
def test_every_grammar_loads(language):
    assert syntax.parse("", language).root_node is not None


def test_errors_are_a_fraction_of_the_text():
    assert syntax.error_frac(syntax.parse("x = 1\n", "python")) == 0
    assert 0 < syntax.error_frac(syntax.parse("x = 1\ny = (((\n", "python")) <= 1


def test_a_language_without_a_grammar_is_refused():
    assert not syntax.has_grammar("r")
    with pytest.raises(SettingError, match="no tree-sitter grammar"):
        syntax.parse("x <- 1", "r")


def test_a_missing_wheel_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tree_sitter_lua", None)
    syntax._grammar.cache_clear()
    with pytest.raises(MissingExtraError, match=r"burnish\[sandbox\]"):
        syntax.parse("x = 1", "lua")
    syntax._grammar.cache_clear()


def check_counts(count):
    assert count("std::string s; class A {};", {"qualified_identifier", "class_specifier"}) == 2
    assert count("std::string s; class A {};", {"class_specifier"}) == 1
    assert count("int a(b) { rb_x _((long)); }", {"qualified_identifier"}) == 0  # `::` was put in


def test_nodes_are_counted():
    check_counts(lambda code, kinds: syntax.count_nodes(syntax.parse(code, "cpp"), kinds))
    with pytest.raises(SettingError, match="must exist"):
        syntax.count_nodes(syntax.parse("x", "c"), {"class_specifier"})


def test_planted_count_of_all_nodes():
    with pytest.raises(AssertionError):
        check_counts(lambda code, kinds: syntax.parse(code, "cpp").root_node.descendant_count)


@pytest.mark.parametrize("name", [n for n in languages.names() if languages.get(n).extends])
def test_own_nodes_are_nodes_of_the_grammar(name):
    language = languages.get(name)
    assert syntax.count_nodes(syntax.parse("", name), language.own_nodes) == 0
    assert language.extends in languages.names()


CIRCLES = (  # R, on which TypeScript's grammar 0.23 never ends
    'test_that("ids of vertex and edge sequence remain after removing graph", {\n'
    "  g <- make_ring(10)\n  id <- graph_id(g)\n  vs <- V(g)\n  vs2 <- vs[1:5]"
)


def test_a_grammar_that_goes_in_circles_is_stopped():
    for name in ("python", "c", "javascript"):
        assert syntax.parse(CIRCLES, name).root_node.has_error
    try:
        tree = syntax.parse(CIRCLES, "typescript")
    except InputError as error:
        assert "cannot be parsed as typescript" in str(error)
    else:  # a grammar that was mended
        assert tree.root_node.has_error
    assert detect(CIRCLES).language in {None, "r"}


def test_the_work_of_honest_programs_is_within_bounds():
    for name in DIALECTS:
        code = write(random_tree(3), name).code * 40
        assert syntax.parse(code, name).root_node.end_byte == len(code)


def test_planted_bound_that_is_too_tight(monkeypatch):
    monkeypatch.setattr(syntax, "LEAST_STEPS", 0)
    monkeypatch.setattr(syntax, "BYTES_A_STEP", 10_000)
    with pytest.raises(InputError, match="cannot be parsed"):
        syntax.parse("x = [1, 2]\n" * 500, "python")


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def check_memory(parse):
    """Text that a grammar reads again and again is not kept."""
    code = "int f(int a) { return a % 3 ? a : f(a / 2); } /* it's $x{y} */\n" * 400
    parse(code, "perl")
    before = resident_bytes()
    for _ in range(8):
        parse(code, "perl")
    assert resident_bytes() - before < 20e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_nothing_is_kept_of_what_was_parsed(monkeypatch):
    check_memory(syntax.parse)
    monkeypatch.setattr(syntax, "_let_go", lambda given: None)
    monkeypatch.setattr(syntax, "CHUNK_BYTES", 1 << 16)
    with pytest.raises(AssertionError):
        check_memory(syntax.parse)


@pytest.mark.parametrize("code", ["x = 1\n", "y = f(2)\n" * 900])
def test_references_are_dropped_only_where_some_are_kept(code):
    source = code.encode()
    before = sys.getrefcount(source)
    for _ in range(3):
        assert syntax._comes_to_an_end(syntax._grammar("python"), source)
        syntax._let_go([bytes(bytearray(b"abc")), b"", b"a"])
    assert sys.getrefcount(source) == before
