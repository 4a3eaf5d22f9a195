"""The root of a program's syntax tree, by whichever parser the language has."""

from typing import Any

from burnish.analysis.r_syntax import parse_r
from burnish.sandbox.languages import find_language, language_name
from burnish.sandbox.syntax import has_grammar, parse


def root_of(code: str, language: str) -> Any:
    """A tree-sitter node, or one that reads like it; a text says why there is none.

    Raises: UnknownNameError; IsolationError.
    """
    name = language_name(find_language(language))
    if has_grammar(name):
        return parse(code, name).root_node
    return parse_r(code)
