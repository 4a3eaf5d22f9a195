"""R's syntax tree by R's own parser, and what is made of it."""

import pytest

from burnish.analysis.analyze import analyze
from burnish.analysis.basic import basic_information
from burnish.analysis.hazards import dangerous_calls
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain

CODE = """\
# counts
f <- function(a, b = 2) {
  if (a > 0 && b) {
    a <- 1
  } else if (a < 0) {
    a <- 2
  } else a <- 3
  for (i in 1:3) {
    if (i == 2) next
    while (TRUE) break
  }
  repeat {
    break
  }
  return(a)
}
g <- function(x) x + 1
print(f(g(1)))
"""


@pytest.fixture(autouse=True)
def r(sandbox_cache):
    found = find_language("r").find()
    if isinstance(found, MissingToolChain):
        pytest.skip(found.reason)


def test_mccabe_of_r_counted_by_hand():
    basic = basic_information(CODE, "r")
    facts = {f.name: (f.complexity, f.extended, f.num_parameters, f.line) for f in basic.functions}
    assert facts["f"] == (7, 8, 2, 2)
    assert facts["g"] == (1, 1, 1, 17)
    assert (basic.num_comment_lines, basic.num_lines) == (1, 18)
    assert basic.halstead.length > 50


def test_what_r_cannot_parse_says_so():
    analysis = analyze("f <- function( {\n", "r", run=False)
    assert analysis.basic is None
    assert "R cannot parse it" in analysis.notes[0]


def test_dangerous_calls_of_r():
    found = list(dangerous_calls('x <- 1\nsystem(paste("ls", x))\n', "r"))
    assert [(f.line, f.cwe) for f in found] == [(2, "CWE-78")]
