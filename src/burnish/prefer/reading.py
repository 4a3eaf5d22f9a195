"""From a file of preferences to pairs of tokens; unusable rows are named."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from burnish.base.canonical import content_hash
from burnish.base.errors import InputError, ModelError
from burnish.base.records import existing_file, read_records
from burnish.base.rng import derive_seed
from burnish.data.chat import RefusedError, Template, render_example
from burnish.models.load import Model
from burnish.prefer.formats import Conversation, RowError, UndecidedError, read_row
from burnish.prefer.pairs import Pair
from burnish.prefer.settings import PairSettings

PAIRS_FILE = "pairs.jsonl"


@dataclass(frozen=True, kw_only=True)
class UnusableRow:
    """Why a row is not trained on."""

    row: int
    problem: str
    got: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """The pairs of a file, and what was left out of them. Rows count from 1."""

    pairs: tuple[Pair, ...]
    problems: tuple[UnusableRow, ...] = ()
    num_undecided: int = 0  # rows whose judges preferred neither answer
    end_ids: frozenset[int] = frozenset()

    def to_dict(self) -> dict[str, Any]:
        """Counts of usable rows, and the problems of the others."""
        return {
            "num_pairs": len(self.pairs),
            "num_undecided": self.num_undecided,
            "num_problems": len(self.problems),
            "problems": [problem.to_dict() for problem in self.problems],
        }

    @property
    def num_truncated(self) -> int:
        """Pairs with an answer cut by the length limit."""
        return sum(any(pair.cut) for pair in self.pairs)

    @property
    def num_without_end(self) -> int:
        """Answers that do not end with an end token."""
        answers = [a for pair in self.pairs for a in (pair.chosen, pair.rejected)]
        return sum(answer[-1] not in self.end_ids for answer in answers)


def read_pairs(path: Path | str, model: Model, settings: PairSettings | None = None) -> PairSet:
    """Pairs of a .jsonl, .json or .parquet file, or of a run that left `pairs.jsonl`.

    They are rendered under the model's own template.

    Raises: MissingFileError; InputError, for a file that is no table of rows; ModelError, for a
    tokenizer without an end token. Faulty rows are no errors but `problems`.
    """
    return make_pairs(read_records(pairs_path(path)), model, settings or PairSettings())


def pairs_path(given: Path | str) -> Path:
    """The file of pairs that is given, or that a run left. Raises: MissingFileError."""
    path = Path(given)
    return existing_file(path / PAIRS_FILE if path.is_dir() else path)


def make_pairs(rows: Sequence[dict[str, Any]], model: Model, settings: PairSettings) -> PairSet:
    """Pairs from rows. Lengths are counted after cutting; a cut answer gets no end token.

    Source: ours. Oracle: tests/prefer/test_reading.py::test_bad_rows_are_named
    """
    pairs, problems, num_undecided = [], [], 0
    limit = min(settings.max_length_tokens, model.max_position)
    for number, row in enumerate(rows, start=1):
        try:
            pairs.append(_pair(read_row(row, number), number, model.tokenizer, settings, limit))
        except UndecidedError:
            num_undecided += 1
        except RefusedError as error:
            said = f"{error.rule} ({error.name}; {error.remedy})"
            problems.append(UnusableRow(row=number, problem=said, got=repr(error.value)[:80]))
        except RowError as error:
            got = repr(error.value)[:80]
            problems.append(UnusableRow(row=number, problem=error.rule, got=got))
    end = model.tokenizer.eos_token_id
    ends = model.eos_ids | ({end} if isinstance(end, int) else set())
    if not ends:
        remedy = "Give the tokenizer an eos_token, or answers would never learn to end"
        raise ModelError("tokenizer", model.spec, "has no end token", remedy=remedy)
    return PairSet(
        pairs=tuple(pairs), problems=tuple(problems), num_undecided=num_undecided, end_ids=ends
    )


def split_pairs(
    pairs: Sequence[Pair], *, heldout_frac: float, seed: int
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Training and held-out pairs; a prompt is on one side only, by a hash of the seed and it.

    Raises: InputError, where fewer than two pairs would be held out, or none trained on.
    Source: ours. Oracle: tests/prefer/test_reading.py::test_splits_share_no_prompt
    """
    keys = [content_hash(pair.prompt) for pair in pairs]
    places = {key: derive_seed(seed, "heldout", key) for key in keys}
    wanted = max(2, round(heldout_frac * len(pairs)))
    sizes, held, num_held = Counter(keys), set[str](), 0
    for key in sorted(places, key=places.__getitem__):
        if num_held >= wanted:
            break
        held.add(key)
        num_held += sizes[key]
    heldout = tuple(p for p, key in zip(pairs, keys, strict=True) if key in held)
    train = tuple(p for p, key in zip(pairs, keys, strict=True) if key not in held)
    if len(heldout) < 2 or not train:
        rule = "must leave one pair to train on, and two pairs with other prompts to measure on"
        raise InputError("pairs", len(pairs), rule, remedy="Give more pairs")
    return train, heldout


def _pair(
    talk: Conversation, number: int, tokenizer: Any, settings: PairSettings, limit: int
) -> Pair:
    prompt, chosen = _encoded(talk, talk.chosen, tokenizer, settings.template)
    _, rejected = _encoded(talk, talk.rejected, tokenizer, settings.template)
    room = limit - len(prompt)
    if room < 1:
        rule = f"must have a prompt shorter than {limit} tokens"
        raise RowError(f"row {number}", len(prompt), rule, remedy="Shorten it, or leave it out")
    whole = Pair(row=number, prompt=prompt, chosen=chosen, rejected=rejected)
    cut = (len(chosen) > room, len(rejected) > room)
    pair = replace(whole, chosen=chosen[:room], rejected=rejected[:room], cut=cut)
    if pair.chosen == pair.rejected:
        rule = f"must have answers that differ in the first {limit} tokens"
        raise RowError(f"row {number}", whole.lengths, rule, remedy="Raise max_length_tokens")
    return pair


def _encoded(
    talk: Conversation, answer: str, tokenizer: Any, template: Template
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    prompt, tokens = render_example(
        tokenizer,
        talk.question,
        answer,
        system=talk.system,
        examples=talk.turns,
        template=template,
    )
    return tuple(prompt), tuple(tokens)
