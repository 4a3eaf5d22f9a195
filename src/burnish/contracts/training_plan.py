"""The plan of a training run: a file that planning writes and pretraining reads.

`plan.json` is one object whose entries are the fields of `TrainingPlan`. Sizes follow the counting
convention that `counts` names; tokens are those of the model's own tokenizer. Readers refuse
another `schema`.
"""

from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import InputError
from burnish.base.settings import load_settings

SCHEMA = "burnish.training-plan/1"


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Model size, data and hyper-parameters; `loss` [nats] is predicted, `loss_low` to `loss_high`.

    `n` active parameters and `n_total` stored ones; `experts` in each layer, `top_k` of them used
    for a token (1 and 1: dense); `d_tokens` training tokens in `num_steps` batches of
    `batch_tokens` at peak learning rate `lr`. `law` names what predicted; an interval that the
    law does not give is null, and so is the loss of a run that nothing predicted.
    """

    schema: str = SCHEMA
    name: str
    law: str
    counts: str
    n: float
    n_total: float
    experts: int = 1
    top_k: int = 1
    d_tokens: float
    batch_tokens: float
    num_steps: int
    lr: float
    train_flops: float
    loss: float | None = None
    loss_low: float | None = None
    loss_high: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            rule = f"must be {SCHEMA}"
            raise InputError("plan schema", self.schema, rule, remedy="Plan again")
        for name in ("n", "n_total", "d_tokens", "batch_tokens", "num_steps", "lr"):
            if not getattr(self, name) > 0:
                raise InputError(f"plan {name}", getattr(self, name), "must be positive",
                                 remedy="Plan again")  # fmt: skip


def read_plan(path: Path | str) -> TrainingPlan:
    """Read `plan.json`, or the one in a run folder.

    Raises: MissingFileError; InputError; SettingError, naming the entry that is wrong.
    Source: ours. Oracle: tests/contracts/test_training_plan.py::test_a_plan_is_read_as_written
    """
    path = Path(path)
    path = path / "plan.json" if path.is_dir() else path
    return load_settings(TrainingPlan, config=path)
