"""Lengths of a model's own answers, and how many reached the cap."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.base.stats import Estimate, bootstrap
from burnish.contracts.generation import Completion, Sampling
from burnish.engine.answers import Answering, Prompt, answer_all
from burnish.models.load import Model
from burnish.prefer.pairs import Pair


@dataclass(frozen=True, kw_only=True)
class Written:
    """Greedy answers to held-out prompts. A capped answer counts as long as the cap."""

    length_tokens: Estimate
    tokens: tuple[int, ...]
    num_capped: int
    cap_tokens: int
    texts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def write_answers(
    model: Model,
    pairs: Sequence[Pair],
    *,
    num_prompts: int,
    max_new_tokens: int,
    meter: Meter | None = None,
) -> Written | None:
    """Answer the first distinct prompts of `pairs`; None for fewer than two: no interval.

    Prompts that leave no room for `max_new_tokens` are left out.
    Source: ours. Oracle: tests/prefer/test_lengths.py::test_lengths_and_caps_by_hand
    """
    prompts = dict.fromkeys(pair.prompt for pair in pairs)
    sampling = Sampling(max_new_tokens=max_new_tokens)
    wanted = [
        Prompt(id=f"prompt {number}", content=prompt, sampling=sampling)
        for number, prompt in enumerate(prompts)
        if len(prompt) + max_new_tokens <= model.max_position
    ][:num_prompts]
    if len(wanted) < 2:
        return None
    training = model.network.training
    model.network.eval()
    done = answer_all(model, wanted, meter=meter, how=Answering(batch_size=32, label=""))
    model.network.train(training)
    return summarise(done, cap_tokens=max_new_tokens)


def summarise(done: Sequence[Completion], *, cap_tokens: int) -> Written:
    """Lengths of completions [tokens], without the end token."""
    tokens = tuple(len(one.tokens) for one in done)
    return Written(
        length_tokens=bootstrap(tokens, rng=stream(0, "written")),
        tokens=tokens,
        num_capped=sum(one.finish == "length" for one in done),
        cap_tokens=cap_tokens,
        texts=tuple(one.text for one in done),
    )
