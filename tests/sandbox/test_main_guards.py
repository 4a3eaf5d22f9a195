"""A main guard in right code does not run before the asserts; one in the asserts does."""

import dataclasses

import pytest

from burnish.sandbox import testing
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import find_chain

READ = "JSON.parse({fs}.readFileSync(0, 'utf8')); process.exit(3);"
CODE = {
    "javascript": (
        "function add(a, b) {{ return a + b; }}\n"
        "function main() {{ " + READ.format(fs="require('fs')") + " }}\n"
        "{guard}"
    ),
    "javascript:module=true": (
        "import fs from 'fs';\nfunction add(a, b) {{ return a + b; }}\n"
        "function main() {{ " + READ.format(fs="fs") + " }}\n{guard}"
    ),
    "typescript": (
        "function add(a: number, b: number): number {{ return a + b; }}\n"
        "function main() {{ " + READ.format(fs="require('fs')") + " }}\n"
        "{guard}"
    ),
    "ruby": "def add(a, b) = a + b\ndef main\n  Integer(STDIN.gets)\n  exit 3\nend\n{guard}",
    "perl": "sub add {{ $_[0] + $_[1] }}\nsub main {{ my $x = <STDIN> // exit 3; }}\n{guard}",
    "php": "<?php function add($a, $b) {{ return $a + $b; }}\n"
    "function main() {{ $x = fgets(STDIN); exit(3); }}\n{guard}",
    "lua": "function add(a, b) return a + b end\nlocal function main()\n"
    "  local x = tonumber(io.read()) + 1\nend\n{guard}",
    "bash": "add() {{ echo $(($1 + $2)); }}\nmain() {{ read -r x || exit 3; }}\n{guard}",
}
GUARDS = {
    "javascript": (
        "if (require.main === module) main();",
        "if (require.main === module) {{\n  main()\n}}",
        "if (require.main.filename === __filename) main();",
        "if (process.argv[1] === __filename) main();",
        "if (!module.parent) main();",
    ),
    "javascript:module=true": (
        "if (import.meta.url === `file://${{process.argv[1]}}`) main();",
        "import {{ pathToFileURL }} from 'url';\n"
        "if (import.meta.url === pathToFileURL(process.argv[1]).href) main();",
    ),
    "typescript": ("if (require.main === module) {{ main(); }}",),
    "ruby": (
        "main if __FILE__ == $0",
        "if $PROGRAM_NAME == __FILE__\n  main\nend",
        "main if File.expand_path($0) == File.expand_path(__FILE__)",
    ),
    "perl": (
        "main() unless caller;",
        "__PACKAGE__->can('main')->() unless caller(0);",
        "if ($0 eq __FILE__) {{ main(); }}",
    ),
    "php": (
        "if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {{ main(); }}",
        "if (basename(__FILE__) == basename($_SERVER['SCRIPT_FILENAME'])) main();",
        "if (!debug_backtrace()) {{ main(); }}",
        "if (realpath($argv[0]) === realpath(__FILE__)) {{ main(); }}\n?>",
    ),
    "lua": (
        "if not pcall(debug.getlocal, 4, 1) then main() end",
        "if arg and arg[0] == 'main.lua' then main() end",
        "if ... == nil then\n  main()\nend",
    ),
    "bash": (
        'if [[ "${{BASH_SOURCE[0]}}" == "$0" ]]; then main "$@"; fi',
        '[[ "$0" = "$BASH_SOURCE" ]] && main',
    ),
}
ASSERTS = {
    "javascript": "require('assert').strictEqual(add(1, 2), {want});",
    "javascript:module=true": "if (add(1, 2) !== {want}) throw new Error('add');",
    "typescript": "if (add(1, 2) !== {want}) throw new Error('add');",
    "ruby": "raise 'add' unless add(1, 2) == {want}",
    "perl": "die 'add' unless add(1, 2) == {want};",
    "php": "if (add(1, 2) !== {want}) {{ throw new Exception('add'); }}",
    "lua": "assert(add(1, 2) == {want})",
    "bash": '[ "$(add 1 2)" = {want} ] || exit 1',
}
OWN = {  # a main guard in the asserts
    "javascript": "if (require.main === module) {{ {inner} }}",
    "javascript:module=true": "if (process.argv[1] === import.meta.filename "
    "|| import.meta.url === `file://${{process.argv[1]}}`) {{ {inner} }}",
    "typescript": "if (require.main === module) {{ {inner} }}",
    "ruby": "if __FILE__ == $0\n  {inner}\nend",
    "perl": "sub check {{ {inner} }}\ncheck() unless caller;",
    "php": "<?php if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {{ {inner} }}",
    "lua": "if not pcall(debug.getlocal, 4, 1) then {inner} end",
    "bash": 'if [[ "${{BASH_SOURCE[0]}}" == "$0" ]]; then {inner}; fi',
}
LANGUAGES = [
    pytest.param(name, marks=[pytest.mark.scheduled] * (name == "typescript")) for name in CODE
]


@pytest.fixture(autouse=True)
def _needs_namespaces(namespaces):
    pass


def verdict(language, guard, asserts):
    chain = find_chain(find_language(language.partition(":")[0]))
    if isinstance(chain, MissingToolChain):
        pytest.skip(chain.reason)
    code = CODE[language].format(guard=guard.format())
    given = {"code": code, "language": language, "asserts": asserts}
    found = judge(read_problem(given))
    return found.verdict.value, found.tests[0].stderr


def check_guards(language):
    """Right code passes and wrong code fails, whatever guard stands in either part."""
    own = OWN[language]
    for guard in ("", *GUARDS[language]):
        for asserts, want, expected in (
            ("{inner}", 3, {"accepted"}),
            (own, 4, {"wrong_answer", "runtime_error"}),
        ):
            script = asserts.format(inner=ASSERTS[language].format(want=want))
            found, stderr = verdict(language, guard, script)
            assert found in expected, (guard, script, found, stderr)
    found, stderr = verdict(language, "", own.format(inner=ASSERTS[language].format(want=3)))
    assert found == "accepted", stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_right_code_with_a_main_guard_passes(language):
    check_guards(language)


@pytest.mark.parametrize("language", ["ruby", "bash", "perl", "php", "lua"])
def test_planted_code_as_the_main_program(language, monkeypatch):
    exact = testing.job_of

    def mutant(program, **given):
        return exact(dataclasses.replace(program, loaded=False), **given)

    monkeypatch.setattr(testing, "job_of", mutant)
    with pytest.raises(AssertionError):
        check_guards(language)


@pytest.mark.parametrize("language", ["ruby", "bash", "perl", "lua"])
def test_planted_asserts_that_never_become_the_main_program(language, monkeypatch):
    cls = type(find_language(language))
    monkeypatch.setattr(cls, "main_again", "")
    with pytest.raises(AssertionError):
        check_guards(language)
