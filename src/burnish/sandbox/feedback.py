"""The paper's six prompt templates, the prompts about a verdict, and code out of answers."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from burnish.base.errors import UnknownNameError
from burnish.base.naming import suggest
from burnish.sandbox.judging import Judged
from burnish.sandbox.languages import find_language, language_name
from burnish.sandbox.problem import AssertTest, CallTest, StdioTest, Test
from burnish.sandbox.verdict import Status

TEMPLATES = Path(__file__).with_name("templates")
STDIN = "The program reads its input from standard input, prints the result and ends."
FUNCTION = "Write the function that is asked for; it will be called by tests."
NUM_CHARACTERS = 600

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([^\n`]*)\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.M)
_OPEN = re.compile(r"^[ \t]*(?:```+|~~~+)[ \t]*([^\n`]*)\n(.*)\Z", re.DOTALL | re.MULTILINE)


def template_names() -> list[str]:
    """The six templates: correct, generate, locate, refine, translate, write_tests."""
    return sorted(path.stem for path in TEMPLATES.glob("*.txt"))


def render(name: str, **fields: str) -> str:
    """A template with its fields filled in; what a field holds is never expanded again.

    Raises: UnknownNameError, for the template or a field that it lacks.
    Source: MPLSandbox, arXiv 2410.23074, supplement section 6. Departure: our own wording, and
    the fence names the language.
    Oracle: tests/sandbox/test_feedback.py::test_fields_are_never_expanded
    """
    if name not in template_names():
        remedy = suggest(name, template_names())
        raise UnknownNameError("template", name, "does not exist", remedy=remedy)
    template = _template(name)
    missing = set(template.get_identifiers()) - set(fields)
    if missing:
        rule = "has no field of this name"
        raise UnknownNameError(f"template {name!r}", sorted(missing), rule, remedy="Fill it in")
    return template.substitute(fields)


def generate_prompt(problem: str, language: str, *, interface: str = STDIN) -> str:
    """Ask for a program that solves a problem."""
    return render("generate", problem=problem, language=_name(language), interface=interface)


def correct_prompt(problem: str, code: str, judged: Judged) -> str:
    """Ask for a correction of what was judged."""
    fields = {"problem": problem, "code": code, "language": judged.language}
    return render("correct", report=judge_report(judged), **fields)


def extract_code(text: str, language: str = "") -> str:
    """The program in an answer: the last fenced block in `language`, else the last one, else all.

    A block that is not closed (the answer was cut) counts too, and so does one that is only closed
    (the prompt opened it). Empty: there is no program.
    Source: ours. Oracle: tests/sandbox/test_feedback.py::test_code_out_of_planted_answers
    """
    blocks = [(m[2].strip(), m[3]) for m in _FENCE.finditer(text)]
    rest = _FENCE.sub("", text)
    before, fence, after = text.rstrip().partition("\n```")
    if not blocks and before.strip() and fence and not after and "```" not in before:
        return f"{before}\n".lstrip("\n")
    if not blocks and (cut := _OPEN.search(rest)):
        blocks = [(cut[1].strip(), cut[2])]
    if not blocks:
        return "" if "```" in text else text.strip("\n")
    if language:
        wanted = _name(language)
        own = [code for info, code in blocks if _is_language(info, wanted)]
        if own:
            return own[-1]
    return blocks[-1][1]


def judge_report(judged: Judged) -> str:
    """The verdict, and the first test that failed, in a few lines."""
    lines = [f"{judged.verdict}: {judged.passed} of {judged.total} tests pass"]
    failed = [t for t in judged.tests if t.status is not Status.ACCEPTED]
    if failed:
        first = failed[0]
        lines += [f"test {judged.tests.index(first) + 1}: {first.status}. {first.reason}".strip()]
        for name in ("stdout", "stderr"):
            said = getattr(first, name).strip()
            lines += [f"{name}:\n{said[-NUM_CHARACTERS:]}"] if said else []
    return "\n".join(lines)


def tests_text(tests: Sequence[Test]) -> str:
    """Tests as a reader of the problem would write them."""
    shown = []
    for test in tests:
        match test:
            case StdioTest():
                shown.append(f"Input:\n{test.stdin}\nOutput:\n{test.stdout}")
            case CallTest():
                shown.append(f"{test.function}{test.args!r} == {test.expected!r}")
            case AssertTest():
                shown.append(test.asserts)
    return "\n".join(shown) or "none"


def _name(language: str) -> str:
    return language_name(find_language(language))


def _is_language(info: str, wanted: str) -> bool:
    word = (info.split() or [""])[0].strip("{}.").lower()
    language = find_language(wanted)
    names = {wanted, *language.aliases, *(e.lstrip(".") for e in language.extensions)}
    return word in names


@functools.cache
def _template(name: str) -> Template:
    return Template((TEMPLATES / f"{name}.txt").read_text(encoding="utf-8"))
