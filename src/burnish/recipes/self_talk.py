"""Actors that learn from planted errors: what of an answer is learned, and what it is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.stats import wilson
from burnish.contracts.generation import Sampling
from burnish.contracts.task import Task, Verdict
from burnish.critique.players import Player, Wish
from burnish.critique.selftalk import Level, Span, parse_talk, spans_at
from burnish.critique.selftalk_data import thoughts_of
from burnish.critique.triples import Triple
from burnish.data.chains import chain_of, worked
from burnish.data.chat import render_example
from burnish.data.checkers import judge
from burnish.models.load import Model
from burnish.train.examples import Example

LEVELS: tuple[Level, ...] = ("self-talk", "step", "trajectory")


@dataclass(frozen=True, kw_only=True)
class Talk:
    """An answer in spans; what is not learned is read all the same."""

    id: str
    prompt: str
    spans: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(span.text for span in self.spans)


def talks_of(triples: Sequence[Triple], level: Level) -> list[Talk]:
    """The answers of a level that a program can make of triples, with the result at their end."""
    found: list[Talk] = []
    for one in triples:
        thoughts, chain = thoughts_of(one.solution), chain_of(one.solution.task)
        if thoughts is None or chain is None:
            continue
        result = "\n" + worked(chain.steps()).split("\n")[-1]
        spans = (*spans_at(thoughts, level), Span(text=result, learned=True))
        found.append(Talk(id=one.id, prompt=one.solution.task.prompt, spans=spans))
    return found


def learned_spans(model: Model, talks: Sequence[Talk]) -> list[Example]:
    """An example for each run of learned tokens, behind everything that precedes it.

    Their sum is the loss of the answer with the other tokens masked. Spans are tokenised apart,
    so that no token lies on both sides of a seam.
    Source: arXiv 2411.16579, self-talk; the mask is ours.
    Oracle: tests/recipes/test_self_talk.py::test_the_loss_equals_a_masked_one
    """
    found: list[Example] = []
    for talk in talks:
        given, whole = render_example(model.tokenizer, talk.prompt, talk.text)
        before, run = list(given), list[int]()
        for number, span in enumerate(talk.spans):
            tokens = model.tokenizer(span.text, add_special_tokens=False)["input_ids"]
            tokens += whole[-1:] if number == len(talk.spans) - 1 else []  # the end of the turn
            if span.learned:
                run += tokens
                continue
            if run:
                found.append(_example(talk, before, run))
            before, run = [*before, *run, *tokens], []
        if run:
            found.append(_example(talk, before, run))
    return found


def _example(talk: Talk, before: Sequence[int], run: Sequence[int]) -> Example:
    return Example(id=f"{talk.id}/{len(before)}", prompt=tuple(before), answer=tuple(run))


def measure_actor(
    tasks: Sequence[Task], player: Player, *, max_new_tokens: int
) -> Mapping[str, Any]:
    """Greedy answers to tasks: how many are right, of which verdicts, and how many talk to check.

    `talks`: answers whose every line is checked, as self-talk is.
    Source: ours. Oracle: tests/recipes/test_self_talk.py::test_planted_answers_are_measured
    """
    sampling = Sampling(max_new_tokens=max_new_tokens)
    wishes = [Wish(id=task.id, prompt=task.prompt, sampling=sampling) for task in tasks]
    written = player.write("answers", wishes)
    verdicts = [judge(one.text, task).verdict for one, task in zip(written, tasks, strict=True)]
    right = sum(verdict == Verdict.RIGHT for verdict in verdicts)
    talks = [parse_talk(one.text.split("\n####")[0]) is not None for one in written]
    return {
        "num": len(tasks),
        "accuracy": wilson(right, len(tasks)).to_dict(),
        "verdicts": {str(v): verdicts.count(v) for v in sorted(set(verdicts))},
        "talks": wilson(sum(talks), len(tasks)).to_dict(),
        "tokens_per_answer": sum(one.tokens for one in written) / len(tasks),
    }
