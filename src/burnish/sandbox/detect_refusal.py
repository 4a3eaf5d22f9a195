"""Whether a text can be a program of a language at all: what tokens alone mistake for one.

The statistical model knows the words of fifteen languages and of some others; Haskell's words are
not far from R's, a Makefile's not far from a shell's. Here the syntax is asked again, piece by
piece, and may refuse what the model would name.
"""

import configparser
import csv
import functools
import json
import re
from collections.abc import Iterator

from burnish.base.errors import InputError
from burnish.sandbox.syntax import has_grammar, parse, text_of

WRONG_FRAC = 0.05  # of a text's bytes in errors of its syntax: less is a dialect
SHORT_WRONG_FRAC = 0.3  # ... of a text of few pieces, where one error spoils much
PIECES_WRONG_FRAC = 0.4  # of the pieces at the top that do not parse by themselves
FEW_PIECES, MOST_PIECES = 6, 40
R_WRONG_FRAC = 0.1  # of the lines where two operands meet without an operator
UNSURE_CONFIDENCE, UNSURE_WRONG_FRAC = 0.6, 0.02  # an answer this unsure must parse nearly whole
KNOWN_FRAC = 0.5  # of the commands of a shell script that are commands
REMARKS_CONFIDENCE = 0.8  # of a text of remarks alone, such as a licence, the tokens must be sure
MAX_CHARACTERS = 20_000

_PROGRAM_MARK = re.compile(r"[(){}\[\]=]")
_NUMBER = re.compile(r"\s*[-+]?\d[\d.,:/eE%-]*\s*")
_GOES_ON = re.compile(
    r"[\s})\]{#*@]|//|\|\||&&|<\?php|\?>|(?:else|elif|elsif|end|fi|done|esac|then|do|rescue|ensure"
    r"|except|finally|catch|when|until|in|EOF)\b"
)
_R_NOISE = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`|#[^\n]*", re.DOTALL)
_R_TOKEN = re.compile(r"[A-Za-z.][\w.]*|\d[\w.]*|%[^%\s]*%|\S")
_R_OPERAND = re.compile(r"[A-Za-z.\d][\w.]*")
_R_BEFORE = {"if", "else", "for", "while", "repeat", "function", "in", "next", "break"}
_R_BETWEEN = {"else", "in", "if", "for", "while"}  # may follow an operand
_R_CALLED = {"if", "for", "while", "function", "\\"}  # always followed by a bracket
_COMMANDS = """
alias apt apt-get awk basename bash bc bg break builtin bzip2 cargo cat cd chmod chown
clear cmp column comm command continue cp curl cut date dc dd declare df diff dirname
disown docker du echo egrep enable env eval exec exit expand export expr factor false fg
fgrep file find fmt fold getopts git go grep gunzip gzip hash head hostname id install
jobs join kill ksh ld less let ln local logout ls make mapfile md5sum mkdir mkfifo
mktemp more mount mv nl node npm od openssl paste perl pgrep php pip pip3 popd printf ps
pushd pwd python python3 read readarray readlink readonly realpath return rev rm rmdir
ruby rsync scp sed seq service set sh sha1sum sha256sum shift shopt shuf sleep sort
source split ssh stat stty su sudo sum sync tac tail tar tee test time timeout touch
tput tr trap true tsort tty type typeset ulimit umask umount unalias uname unexpand uniq
unset unzip uptime wait watch wc wget which while who whoami xargs xxd yes zcat zip zsh
[ : .
"""


def refuses(code: str, language: str, error_frac: float, confidence: float) -> bool:
    """Whether the text is no program of the language, as far as its syntax tells.

    `error_frac` is what the whole text has in errors under the language's grammar.
    Source: ours. Oracle: tests/sandbox/test_detect_refusal.py::test_texts_that_are_no_program
    """
    code = code[:MAX_CHARACTERS]
    if is_data(code) or (confidence < UNSURE_CONFIDENCE and error_frac > UNSURE_WRONG_FRAC):
        return True
    if language == "r":
        return r_wrong_frac(code) > R_WRONG_FRAC
    if not has_grammar(language):
        return False
    if language == "bash" and _is_no_script(code):
        return True
    if confidence < REMARKS_CONFIDENCE and not _says_something(code, language):
        return True
    return error_frac > WRONG_FRAC and _is_broken(code, language, error_frac)


def is_data(code: str) -> bool:
    """Whether a text is JSON, JSON lines, an INI file or a table: valid syntax, but no program."""
    text = code.strip()
    if any(_is_table(text, delimiter) for delimiter in ",;\t"):
        return True
    if text[:1] in ("{", "["):
        lines = [line for line in text.splitlines() if line.strip()]
        if _is_json(text) or all(_is_json(line) for line in lines):
            return True
        if re.match(r'[\[{]\s*[\[{]?\s*"[^"\n]*"\s*[:,]', text) and len(code) == MAX_CHARACTERS:
            return True  # cut by us
    if re.match(r"(?:[#;][^\n]*\n|\s)*\[[\w.\" -]+\]\s*(?:[#;\n]|$)", text):
        try:
            parser = configparser.RawConfigParser(strict=False, allow_no_value=False)
            parser.read_string(text)
            return any(parser[name] for name in parser.sections())
        except configparser.Error:
            return False
    return False


def _is_table(text: str, delimiter: str) -> bool:
    """Whether all lines have as many cells, and none the marks of a program.

    Of two cells one is a number below the first line, as in no list of imports.
    """
    lines = text.splitlines()
    lines = lines[:-1] if len(text) == MAX_CHARACTERS else lines  # the last was cut by us
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    width = len(rows[0]) if rows else 0
    if len(rows) < 2 or any(len(row) != width for row in rows):
        return False
    if width == 2 and not all(any(map(_NUMBER.fullmatch, row)) for row in rows[1:]):
        return False
    return width >= 2 and not any(_PROGRAM_MARK.search(cell) for row in rows for cell in row)


def r_wrong_frac(code: str) -> float:
    """The fraction of lines in which operands meet without an operator, as R never has them."""
    lines = [x for x in _R_NOISE.sub(_blank, code).splitlines() if x.strip()]
    return sum(map(_is_wrong_in_r, lines)) / max(len(lines), 1)


def _blank(found: re.Match[str]) -> str:
    return "" if found[0].startswith("#") else "S" + "\n" * found[0].count("\n")


def _is_wrong_in_r(line: str) -> bool:
    tokens = _R_TOKEN.findall(line)
    for one, other in zip(tokens, [*tokens[1:], "("], strict=True):
        if one in _R_CALLED:
            if other != "(":
                return True
        elif one not in _R_BEFORE and other not in _R_BETWEEN and _are_operands(one, other):
            return True
    return "=>" in line or line.rstrip().endswith(":")


def _are_operands(*tokens: str) -> bool:
    return all(_R_OPERAND.fullmatch(token) for token in tokens)


def _is_broken(code: str, language: str, error_frac: float) -> bool:
    wrong = [_fails(piece, language) for piece in _pieces(code)]
    wrong = wrong[:-1] if len(wrong) > 1 else wrong  # the last may have been cut
    frac = sum(wrong) / max(len(wrong), 1)
    least = SHORT_WRONG_FRAC if len(wrong) < FEW_PIECES else WRONG_FRAC
    return frac > PIECES_WRONG_FRAC and error_frac > least


def _pieces(code: str) -> list[str]:
    """The text in pieces that begin at the left margin, the first `MOST_PIECES` of them."""
    pieces: list[list[str]] = []
    for line in code.splitlines():
        if pieces and (not line.strip() or _GOES_ON.match(line)):
            pieces[-1].append(line)
        elif line.strip():
            pieces.append([line])
    return ["\n".join(piece) + "\n" for piece in pieces[:MOST_PIECES]]


def _fails(piece: str, language: str) -> bool:
    opened = "<?php\n" if language == "php" and not piece.startswith("<?") else ""
    try:
        return parse(opened + piece, language).root_node.has_error
    except InputError:
        return True


def _says_something(code: str, language: str) -> bool:
    """Whether there is anything but remarks."""
    try:
        root = parse(code, language).root_node
    except InputError:
        return True
    return any(not child.type.endswith("comment") for child in root.named_children)


def _is_no_script(code: str) -> bool:
    """Whether a text that parses as a shell script, as nearly all do, commands nothing known."""
    try:
        nodes = list(_walk(parse(code, "bash").root_node))
    except InputError:
        return True
    defined = {text_of(n.children[0]) for n in nodes if n.type == "function_definition"}
    defined |= {text_of(c) for n in nodes if n.type == "function_definition" for c in n.children}
    names = [text_of(n) for n in nodes if n.type == "command_name"]
    if not names:
        return not any(n.type.endswith("_statement") or "test" in n.type for n in nodes)
    commands = {*_COMMANDS.split(), *defined}
    known = [n in commands or n[:1] in "/$.\"'`~" for n in names]
    rules = len(re.findall(r"^[\w.%/$() -]+:(?!//)[^=\n]*$(?=\n\t)", code, re.MULTILINE))
    return sum(known) < KNOWN_FRAC * len(known) or rules > 0


def _walk(node) -> Iterator:
    yield node
    for child in node.children:
        yield from _walk(child)


@functools.lru_cache(maxsize=256)
def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False
