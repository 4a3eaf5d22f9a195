"""A long text with many planted sentences, and a question for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.data.corpora import parse_corpus

COLOURS = ("red", "blue", "green", "black", "white", "golden", "silver", "brown", "pink", "grey")
THINGS = (
    *("falcon", "harbour", "violin", "mountain", "lantern", "garden", "engine", "island"),
    *("bridge", "window", "tiger", "castle", "river", "planet", "kitchen", "forest"),
)
FACTS = (  # ten that SmolLM2-135M answers with full attention over 4,096 tokens, 20 of 20
    *("secret code of the red falcon", "phone number of the bakery", "serial number of the engine"),
    *("price of the violin", "population of the island", "passport number of the captain"),
    *("account number of the museum", "postal code of the harbour"),
    *("ticket number of the traveller", "licence number of the green truck"),
)
FACT = "\nThe {name} is {code}.\n"
FACT_QUESTION = "\n\nQuestion: What is the {name}?\nAnswer: The {name} is"
SENTENCE = "\nThe secret code of the {name} is {code}.\n"
QUESTION = (
    "\n\nQuestion: What is the secret code of the {name}?\nAnswer: The secret code of the {name} is"
)
VALUE = "\nOne of the secret codes of the {name} is {code}.\n"
VALUES_QUESTION = (
    "\n\nQuestion: What are the {num} secret codes of the {name}, in the order of the text?\n"
    "Answer: The secret codes of the {name} are"
)
CHAIN_QUESTION = (
    "\n\nQuestion: Find all variables that are assigned the value {code} in the text above.\n"
    "Answer: The variables that are assigned the value {code} are"
)
SIBLINGS, VALUES, HOPS = 3, 3, 3  # keys beside the asked one; values of a key; steps of a chain

Kind = Literal["single", "facts", "multikey", "multivalue", "variables"]


@dataclass(frozen=True, kw_only=True)
class Needle:
    """Planted sentences, a question about them, and its answer.

    `places`: first token of each sentence, and the one behind its last. `depth` in [0, 1): that of
    the first sentence.
    """

    places: tuple[tuple[int, int], ...]
    depth: float
    question: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Haystack:
    """A text with needles."""

    ids: tuple[int, ...]
    needles: tuple[Needle, ...]


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What is planted for one question; `others` look alike and are not asked for."""

    sentences: tuple[str, ...]
    question: str
    answer: str
    others: tuple[str, ...] = ()


@runtime_checkable
class Drawn(Protocol):
    """The settings of a measurement on several texts with needles."""

    @property
    def corpus(self) -> str:
        """Source of the text."""
        ...

    @property
    def length(self) -> int:
        """Tokens of a text."""
        ...

    @property
    def needles(self) -> int:
        """Planted sentences in a text."""
        ...

    @property
    def tail(self) -> int:
        """Tokens after the last planted sentence."""
        ...

    @property
    def seed(self) -> int:
        """Seed of all texts."""
        ...


def draw_haystack(tokenizer: Any, settings: Drawn, number: int, kind: Kind = "single") -> Haystack:
    """The text with this number in a measurement; different seeds share no text.

    Raises: as `make_haystack`.
    """
    return make_haystack(
        tokenizer,
        corpus=settings.corpus,
        length=settings.length,
        num_needles=settings.needles,
        tail=settings.tail,
        seed=settings.seed * 1000 + number,
        kind=kind,
    )


def make_haystack(
    tokenizer: Any,
    *,
    corpus: str,
    length: int,
    num_needles: int,
    tail: int,
    seed: int,
    kind: Kind = "single",
) -> Haystack:
    """A text of `length` tokens with sentences evenly spaced before its last `tail` tokens.

    `single`: one sentence a question, all of one form; `facts`: of forms so different that several
    are as easy as one; `multikey`: and some whose keys look alike; `multivalue`: several values of
    a key, all asked for; `variables`: chains of assignments, whose names are asked for. Sentences
    of a question stand in their order, others between them.
    Raises SettingError where the needles do not fit or the corpus is too short.
    Source: tasks of RULER, arXiv 2404.06654, in our words; many needles in a text are ours.
    Oracle: tests/stream/test_needles.py::test_needles_stand_where_they_say
    """
    source = stream(seed, "haystack", corpus, length)
    told = _TELL[kind](source, num_needles)
    owners = _owners(source, told)
    queues = {i: list(one.sentences) for i, one in enumerate(told)}
    queues[-1] = [text for one in told for text in one.others]
    planted = [_encode(tokenizer, queues[owner].pop(0)) for owner in owners]
    room = length - tail - sum(map(len, planted))
    if room < len(planted):
        rule = f"must contain {num_needles} needles and {tail} tokens behind them"
        raise SettingError("length", length, rule, remedy="Lengthen it, or plant fewer needles")
    filler = _filler(tokenizer, corpus, room + tail, int(source.integers(1 << 30)))
    ids: list[int] = []
    places: dict[int, list[tuple[int, int]]] = {owner: [] for owner in queues}
    at = 0
    for i, (owner, own) in enumerate(zip(owners, planted, strict=True)):
        following = (i * room + room // 2) // len(planted)
        ids += filler[at:following]
        at = following
        places[owner].append((len(ids), len(ids) + len(own)))
        ids += own
    needles = tuple(
        Needle(
            places=tuple(places[i]),
            depth=places[i][0][0] / length,
            question=tuple(_encode(tokenizer, one.question)),
            answer=tuple(_encode(tokenizer, one.answer)),
        )
        for i, one in enumerate(told)
    )
    return Haystack(ids=tuple(ids + list(filler[at:])), needles=needles)


def _owners(source: np.random.Generator, told: list[_Told]) -> list[int]:
    """The question that each planted sentence belongs to, in text order; -1 for none."""
    owners = [i for i, one in enumerate(told) for _ in one.sentences]
    owners += [-1] * sum(len(one.others) for one in told)
    if len(owners) == len(told):
        return owners
    return [owners[i] for i in source.permutation(len(owners))]


def _names(source: np.random.Generator, num: int) -> list[str]:
    names = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    if not 1 <= num <= len(names):
        rule = f"must lie in [1, {len(names)}]"
        raise SettingError("needles", num, rule, remedy="Use more texts")
    return [names[i] for i in source.permutation(len(names))[:num]]


def _codes(source: np.random.Generator, num: int) -> list[str]:
    return [str(code) for code in source.integers(10_000, 99_999, num)]


def _single(source: np.random.Generator, num: int) -> list[_Told]:
    return [
        _Told(
            sentences=(SENTENCE.format(name=name, code=code),),
            question=QUESTION.format(name=name),
            answer=f" {code}",
        )
        for name, code in zip(_names(source, num), _codes(source, num), strict=True)
    ]


def _facts(source: np.random.Generator, num: int) -> list[_Told]:
    if not 1 <= num <= len(FACTS):
        rule = f"must lie in [1, {len(FACTS)}] for facts"
        raise SettingError("needles", num, rule, remedy="Use more texts")
    names = [FACTS[i] for i in source.permutation(len(FACTS))[:num]]
    return [
        _Told(
            sentences=(FACT.format(name=name, code=code),),
            question=FACT_QUESTION.format(name=name),
            answer=f" {code}",
        )
        for name, code in zip(names, _codes(source, num), strict=True)
    ]


def _multikey(source: np.random.Generator, num: int) -> list[_Told]:
    """Keys of one thing in several colours; one of them is asked for."""
    sets = [(thing, part) for thing in THINGS for part in range(len(COLOURS) // (SIBLINGS + 1))]
    if not 1 <= num <= len(sets):
        rule = f"must lie in [1, {len(sets)}] for multikey"
        raise SettingError("needles", num, rule, remedy="Use more texts")
    told = []
    for i in source.permutation(len(sets))[:num]:
        thing, part = sets[i]
        colours = COLOURS[part * (SIBLINGS + 1) : (part + 1) * (SIBLINGS + 1)]
        names = [f"{colours[j]} {thing}" for j in source.permutation(SIBLINGS + 1)]
        codes = _codes(source, SIBLINGS + 1)
        each = [SENTENCE.format(name=n, code=c) for n, c in zip(names, codes, strict=True)]
        told.append(
            _Told(
                sentences=(each[0],),
                question=QUESTION.format(name=names[0]),
                answer=f" {codes[0]}",
                others=tuple(each[1:]),
            )
        )
    return told


def _multivalue(source: np.random.Generator, num: int) -> list[_Told]:
    told = []
    for name in _names(source, num):
        codes = _codes(source, VALUES)
        told.append(
            _Told(
                sentences=tuple(VALUE.format(name=name, code=code) for code in codes),
                question=VALUES_QUESTION.format(name=name, num=VALUES),
                answer=f" {', '.join(codes[:-1])} and {codes[-1]}",
            )
        )
    return told


def _variables(source: np.random.Generator, num: int) -> list[_Told]:
    """`VAR A = 12345`, `VAR B = VAR A`, ...: all names of a chain hold its value."""
    letters = [chr(ord("A") + i) for i in range(26)]
    most = len(letters) ** 3 // (HOPS + 1)
    if not 1 <= num <= most:
        raise SettingError("needles", num, f"must lie in [1, {most}]", remedy="Use more texts")
    picked = source.permutation(len(letters) ** 3)[: num * (HOPS + 1)]
    names = [letters[i // 676] + letters[i // 26 % 26] + letters[i % 26] for i in picked]
    told = []
    for first, code in zip(range(0, len(names), HOPS + 1), _codes(source, num), strict=True):
        chain = names[first : first + HOPS + 1]
        values = [code, *(f"VAR {name}" for name in chain[:-1])]
        told.append(
            _Told(
                sentences=tuple(f"\nVAR {n} = {v}\n" for n, v in zip(chain, values, strict=True)),
                question=CHAIN_QUESTION.format(code=code),
                answer=f" {', '.join(chain[:-1])} and {chain[-1]}",
            )
        )
    return told


_TELL: dict[str, Callable[[np.random.Generator, int], list[_Told]]] = {
    "single": _single,
    "facts": _facts,
    "multikey": _multikey,
    "multivalue": _multivalue,
    "variables": _variables,
}


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _filler(tokenizer: Any, corpus: str, num: int, seed: int) -> Sequence[int]:
    documents = parse_corpus(corpus).documents()
    ids: list[int] = []
    for i in range(len(documents)):
        ids += _encode(tokenizer, documents[(seed + i) % len(documents)].read())
        if len(ids) >= num:
            return ids[:num]
    raise SettingError("corpus", corpus, f"must contain {num} tokens", remedy="Use a longer one")
