"""Asserts behind the code in one file: only their last line says that they were reached."""

import pytest
from fixtures.verdicts import KINDS

from burnish.sandbox.guard import NO_MARK, nonce_of
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language, languages
from burnish.sandbox.languages.language import Language, MissingToolChain
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import find_chain
from burnish.sandbox.scripts import UNCALLED, fault_of
from burnish.sandbox.verdict import Status

SLOW = {"java", "typescript", "csharp", "rust", "go", "r", "cpp"}
EXITS = {row[2]["language"]: row[2] for row in KINDS["early exits before the tests end"]}
MAINS = {  # tests that cannot do without a `main`
    "c": "int main(void) {\n  return 0;\n}", "cpp": "auto main() -> int { return 0; }",
    "csharp": "class P { static void Main() { } }",
    "go": "package main\nfunc main() { }", "rust": "fn main() { }",
    "java": "public class Main { public static void main(String[] a) { } }",
}  # fmt: skip


def check_exit(language):
    if isinstance(chain := find_chain(find_language(language)), MissingToolChain):
        pytest.skip(chain.reason)
    result = judge(read_problem(EXITS[language]))
    assert (result.verdict, result.reason) == (Status.SECURITY_VIOLATION, NO_MARK)


@pytest.mark.parametrize(
    "language",
    [pytest.param(n, marks=[pytest.mark.scheduled] * (n in SLOW)) for n in sorted(EXITS)],
)
def test_an_early_exit_is_no_success(language, namespaces):
    check_exit(language)


def test_planted_end_that_nothing_says(namespaces, monkeypatch):
    monkeypatch.setattr("burnish.sandbox.languages.c.C.ended", lambda *given: None)
    with pytest.raises(AssertionError):
        check_exit("c")


def test_every_language_but_python_says_its_end():
    for name in languages.names():
        ended = find_language(name).ended(MAINS.get(name, "f();"), "a nonce")
        assert (name == "python") == (ended is None), name
        assert name == "python" or "a nonce" in ended


@pytest.mark.parametrize("language", MAINS)
def test_tests_without_main_cannot_say_it(language):
    assert find_language(language).ended("int x = 1;", "a nonce") is None


def test_a_nonce_is_that_of_code_and_asserts():
    assert nonce_of("a", "b") == nonce_of("a", "b")
    assert len({nonce_of("a", "b"), nonce_of("ab", ""), nonce_of("", "ab")}) == 3
    assert len(nonce_of("\ud800", "")) == 32


def test_what_the_tests_import_stands_before_the_code():
    go, code = find_language("go"), 'package main\n\nimport (\n\t"fmt"\n)\nfunc f() {}'
    asserts = 'package main\nimport "fmt"\nimport (\n\t"os"\n\ts "strings"\n)\nfunc main() {}'
    joined = go.joined(code, asserts)
    assert joined.startswith('package main; import "os"; import s "strings"\n\nimport (\n\t"fmt"')
    assert joined.count("package main") == 1 and joined.count('"fmt"') == 1
    assert go.joined("func f() {}", "func main() {}").startswith("package main\nfunc f()")
    sharp = find_language("csharp")
    assert sharp.joined("class A { }", "using System;\nclass P { }").startswith("using System; ")
    assert sharp.joined("class A { }", "class P { }") == "class A { }\nclass P { }"


def test_a_module_of_lua_may_return_itself():
    lua = find_language("lua")
    for end in ("return M", "return M\n", "return { f = f }", "return"):
        assert lua.joined(f"M = {{}}\n{end}", "f()").split() == ["M", "=", "{}", "f()"]
    inside = "function f()\n  return M\nend"
    assert lua.joined(inside, "f()") == f"{inside}\nf()"


def test_a_line_of_bash_that_is_a_test_must_hold():
    ended = find_language("bash").ended(
        '[ "$a" = 1 ]\n[ a ] && f\n[[ $a == 2 ]]\nif [ a ]; then\n  [ b ]\nfi\ntest a = b', "n"
    )
    assert ended is not None
    assert ended.splitlines()[:7] == [
        '[ "$a" = 1 ] || exit 1', "[ a ] && f", "[[ $a == 2 ]] || exit 1", "if [ a ]; then",
        "  [ b ]", "fi", "test a = b || exit 1",
    ]  # fmt: skip


def test_functions_that_wait_for_a_runner_are_uncalled():
    go = "func TestF(t *testing.T) { }"
    assert fault_of(go, "go") == UNCALLED and not fault_of(go + "\nfunc main() { }", "go")
    rust = "#[cfg(test)]\nmod tests {\n  #[test]\n  fn a() { }\n}"
    assert fault_of(rust, "rust") == UNCALLED and not fault_of(rust + "\nfn main() { }", "rust")


def test_the_base_of_languages_says_nothing():
    assert Language.last_words == "" and Language.restored == ""
