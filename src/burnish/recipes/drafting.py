"""How the stages of a run decode: plainly, or with drafts where the planner says it pays."""

from dataclasses import dataclass, field

from burnish.draft.choice import AUTO, Choice, choose
from burnish.draft.cost import PLAIN
from burnish.models.handle import ModelHandle

LEAST_STEPS = 3000  # of plain decoding; planning for 64 texts took as long as 480 (AMD EPYC)


@dataclass(kw_only=True)
class Drafting:
    """Settles `draft` (`plain`, `auto` or a drafter's spec) once for a model and a batch size.

    Every choice gives the same answers, so a resumed run may decode the rest with another one.
    Source: ours. Oracle: tests/recipes/test_drafting.py::test_drafted_sampling_changes_no_answer
    """

    draft: str = PLAIN
    _known: dict[tuple[str, int], Choice] = field(default_factory=dict)

    def choose(
        self, actor: ModelHandle, *, num_texts: int, new_tokens: int, batch_size: int
    ) -> Choice:
        """How to write `num_texts` texts of up to `new_tokens` tokens, `batch_size` at once.

        `auto` plans for batches of that size, unless there is too little to write.
        """
        width = max(min(batch_size, num_texts), 1)
        if self.draft == AUTO and num_texts * new_tokens < LEAST_STEPS * width:
            return Choice(name=PLAIN, reason="too little to write to plan for")
        key = (actor.key, width)
        if key not in self._known:
            self._known[key] = choose(actor.model, self.draft, batch_size=width)
        return self._known[key]
