"""Parts of an answer at its top level: lists, unions, relations, brackets that hold it all."""

from collections.abc import Sequence

from burnish.data.math.tokens import Token

OPENING = ("(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil")
CLOSING = (")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil")
COMPARISONS = {
    "<": "<", ">": ">", "<=": "<=", ">=": ">=", r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=",
    r"\ge": ">=", r"\geq": ">=", r"\geqslant": ">=", r"\lt": "<", r"\gt": ">", r"\ne": "!=",
    r"\neq": "!=", "!=": "!=",
}  # fmt: skip
LISTING = {",", ";"}
WORDS = {"and", "or", r"\land", r"\lor", r"\vee", r"\wedge"}
IDLE_WORDS = {"either", "both", "approximately", "exactly", "about"}
ENDS = {".", ",", ";", "?", '"', "`", "'"}


def split(tokens: Sequence[Token], separators: set[str]) -> list[list[Token]]:
    """Parts between separators outside all brackets."""
    parts: list[list[Token]] = [[]]
    depth = environments = 0
    for token in tokens:
        depth += (token.text in OPENING) - (token.text in CLOSING)
        environments += (token.text == r"\begin") - (token.text == r"\end")
        if depth == 0 and not environments and token.text in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def separated(tokens: Sequence[Token]) -> tuple[list[list[Token]], set[str]]:
    """Parts of a list with commas and the words `and`, `or`; and which words there were."""
    plain = [_as_word(token) for token in tokens]
    parts = [part for part in split(plain, LISTING | WORDS) if part]
    words = {
        "or" if t.text in ("or", r"\lor", r"\vee") else "and" for t in plain if t.text in WORDS
    }
    return parts, words


def _as_word(token: Token) -> Token:
    return Token(kind="word", text=token.text) if token.text in WORDS else token


def is_whole(tokens: Sequence[Token]) -> bool:
    """Whether the first bracket is closed by the last token, and not before."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth == 0:
            return place == len(tokens) - 1 and place > 0
    return False


def strip_ends(tokens: Sequence[Token]) -> list[Token]:
    """Tokens without the punctuation and idle words around them."""
    kept = list(tokens)
    while kept and (kept[-1].text in ENDS or kept[-1].text == ":"):
        kept.pop()
    while kept and (kept[0].text in ENDS or kept[0].text.casefold() in IDLE_WORDS):
        kept.pop(0)
    balance = sum((t.text in OPENING) - (t.text in CLOSING) for t in kept)
    if balance == -1 and kept[-1].text == ")" and len(kept) == 2:
        kept.pop()  # `B)`
    return kept
