"""Exact log-probabilities of many labels after each prompt; shared prefixes are computed once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.engine.trie import Trie, common_length
from burnish.kv.shared import Forest
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.head import logprobs_at
from burnish.models.load import Model

Prompt = str | Sequence[int]


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """`logprobs[b, c]` [nats] is that of label c after prompt b; `num_tokens` are its tokens there.

    Tokens are counted with the end, where one was given. Divide one by the other for a mean that
    does not favour short labels.
    """

    labels: tuple[str, ...]
    logprobs: Float[Tensor, "B C"]
    num_tokens: Int[Tensor, "B C"]


def score_labels(
    model: Model,
    prompts: Sequence[Prompt],
    labels: Sequence[str],
    *,
    end: str = "",
    normalised: bool = False,
    batch_rows: int = 2048,
    meter: Meter | None = None,
) -> LabelScores:
    """Log-probability of every label after every prompt, equal to that of each whole text alone.

    A prompt is a text or tokens. A text is tokenised together with each label, since tokens may
    merge at the border; what all of them and the prompt alone begin with is the condition, and the
    rest is scored. Behind a prompt of tokens, labels are tokenised by themselves. `end` is a text
    that must follow a label, such as a newline or the end token: without it "New" also counts
    what goes on as "New York". `normalised` gives log-probabilities given that one of the labels
    follows.

    Our decoder computes tokens that several prompts, or labels after a prompt, begin with once for
    a pass of at most `batch_rows` rows. Other networks read a prompt once for all its labels. The
    meter counts computed prompt tokens as `prefilled` and distinct label tokens as `scored`.
    Raises SettingError for labels that are empty, missing or given twice, a prompt without a
    token, and a text beyond the model's window.
    Source: ours. Oracle: tests/engine/test_labels.py::test_labels_equal_whole_texts
    """
    _check_labels(labels, batch_rows)
    questions = [_question(model, prompt, labels, end) for prompt in prompts]
    distinct = list(dict.fromkeys(questions))
    meter, totals = meter or Meter(), dict[_Question, list[float]]()
    network = model.network
    with torch.inference_mode():
        if isinstance(network, Adapter):
            scored = _score_apart(network, distinct, meter)
        else:
            scored = _score_shared(network, distinct, batch_rows, meter)
        for question, values in scored:
            totals[question] = question.trie.sums(values)
    shape = (len(prompts), len(labels))
    logprobs = torch.tensor([totals[q] for q in questions], dtype=torch.double).reshape(shape)
    if normalised:
        logprobs = logprobs.log_softmax(-1)
    counts = torch.tensor([[len(tokens) for tokens in q.labels] for q in questions])
    return LabelScores(
        labels=tuple(labels), logprobs=logprobs.float(), num_tokens=counts.long().reshape(shape)
    )


@dataclass(frozen=True)
class _Question:
    """A prompt's tokens, and the tokens of each label behind them."""

    prompt: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...]

    @property
    def trie(self) -> Trie:
        return Trie.of(self.labels)


def _check_labels(labels: Sequence[str], batch_rows: int) -> None:
    if batch_rows < 1:
        raise SettingError("batch_rows", batch_rows, "must be at least 1", remedy="2048 is usual")
    twice = [label for index, label in enumerate(labels) if label in labels[:index]]
    if not labels or not all(labels) or twice:
        rule, remedy = "must be distinct texts", "Give each label once"
        raise SettingError("labels", twice or list(labels), rule, remedy=remedy)


def _question(model: Model, prompt: Prompt, labels: Sequence[str], end: str) -> _Question:
    if isinstance(prompt, str):
        whole = [prompt + label + end for label in labels]
        alone, *texts = model.tokenizer([prompt, *whole])["input_ids"]
        shared = min(common_length(alone, text) for text in texts)
        shared = min(shared, *(len(text) - 1 for text in texts))
        before, behind = alone[:shared], [text[shared:] for text in texts]
    else:
        ends = [label + end for label in labels]
        before = prompt
        behind = model.tokenizer(ends, add_special_tokens=False)["input_ids"]
    if not len(before):
        rule = "must have a token before the labels"
        raise SettingError("prompt", prompt, rule, remedy="Write a few words")
    if (longest := len(before) + max(map(len, behind))) > model.max_position:
        rule = f"must fit the model's window of {model.max_position} tokens"
        raise SettingError("prompt with label", longest, rule, remedy="Shorten the prompt")
    return _Question(tuple(before), tuple(map(tuple, behind)))


def _score_shared(
    decoder: Decoder, questions: Sequence[_Question], batch_rows: int, meter: Meter
) -> Iterator[tuple[_Question, list[float]]]:
    for some in _passes(sorted(questions, key=lambda q: q.prompt), batch_rows):
        forest, begins = Forest(), list[tuple[int, int]]()
        _grow(forest, some, 0, None, begins)
        rows, asked, targets = list[int](), list[int](), list[int]()
        for question, (last, first) in zip(some, begins, strict=True):
            asked += [len(rows) + 1 + node for node, _ in question.trie.edges]
            targets += [token for _, token in question.trie.edges]
            rows += [last, *range(first, first + len(question.trie.tokens))]
        hidden = forest.run(decoder)
        asked_rows, wanted = (torch.tensor(x, device=hidden.device) for x in (asked, targets))
        values = logprobs_at(decoder.head, hidden[rows], asked_rows, wanted).tolist()
        meter.add("prefilled", len(forest) - sum(len(q.trie.tokens) for q in some))
        meter.add("scored", len(targets))
        meter.add("passes", 1)
        start = 0
        for question in some:
            end = start + len(question.trie.edges)
            yield question, values[start:end]
            start = end


def _passes(questions: Sequence[_Question], batch_rows: int) -> Iterator[list[_Question]]:
    """Sorted questions in passes of at most so many rows; a larger one has a pass of its own."""
    some: list[_Question] = []
    num_rows = 0
    for question in questions:
        own = len(question.prompt) + len(question.trie.tokens)
        fresh = own - (_shared(some[-1], question) if some else 0)
        if some and num_rows + fresh > batch_rows:
            yield some
            some, num_rows, fresh = [], 0, own
        some.append(question)
        num_rows += fresh
    if some:
        yield some


def _shared(one: _Question, other: _Question) -> int:
    """Tokens that two prompts begin with; each keeps its last one to itself."""
    return common_length(one.prompt[:-1], other.prompt[:-1])


def _grow(
    forest: Forest,
    questions: Sequence[_Question],
    depth: int,
    after: int | None,
    begins: list[tuple[int, int]],
) -> None:
    """Add sorted questions whose first `depth` tokens are the rows up to the block `after`.

    `begins` receives, for each, the prompt's last row and the first row of its labels' trie.
    """
    start = 0
    while start < len(questions):
        end, common = start + 1, len(questions[start].prompt)
        while end < len(questions):
            shared = _shared(questions[end - 1], questions[end])
            if shared <= depth:
                break
            common, end = min(common, shared), end + 1
        if end > start + 1:
            block = forest.chain(questions[start].prompt[depth:common], after=after)
            _grow(forest, questions[start:end], common, block, begins)
        else:
            question = questions[start]
            rest, trie = question.prompt[depth:], question.trie
            parents = [*range(-1, len(rest) - 1), *(len(rest) + p for p in trie.parents)]
            rows = forest.rows(forest.tree([*rest, *trie.tokens], parents, after=after))
            begins.append((rows[len(rest) - 1], rows.start + len(rest)))
        start = end


def _score_apart(
    adapter: Adapter, questions: Sequence[_Question], meter: Meter
) -> Iterator[tuple[_Question, list[float]]]:
    """Each prompt once, then one step for each inner node of its labels' trie."""
    session = adapter.session(1)
    for question in questions:
        trie, values = question.trie, list[float]()
        session.clear(0)
        logits = session.prefill([0], [question.prompt])
        current, states = -1, {}
        for node in range(-1, len(trie.tokens)):
            if node >= 0:
                if (parent := trie.parents[node]) != current:
                    session.restore(0, states[parent])
                logits, current = session.step([trie.tokens[node]]), node
            if trie.parents.count(node) > 1:
                states[node] = session.snapshot(0)
            logprobs = logits[0].float().log_softmax(-1)
            values += logprobs[[token for owner, token in trie.edges if owner == node]].tolist()
        meter.add("prefilled", len(question.prompt))
        meter.add("scored", len(trie.edges))
        meter.add("passes", 1 + len(trie.tokens))
        yield question, values
