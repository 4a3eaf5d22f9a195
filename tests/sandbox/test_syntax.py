"""Parsing: every grammar loads, errors are measured, what is missing is named."""

import sys

import pytest

from burnish.base.errors import MissingExtraError, SettingError
from burnish.sandbox import syntax
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
    syntax._parser.cache_clear()
    with pytest.raises(MissingExtraError, match=r"burnish\[sandbox\]"):
        syntax.parse("x = 1", "lua")
    syntax._parser.cache_clear()
