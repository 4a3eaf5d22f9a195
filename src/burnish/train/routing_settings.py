"""How the experts of a mixture are kept in use: settings, without torch."""

import math
from dataclasses import dataclass

from burnish.base.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class RoutingSettings:
    """What is added to the loss, and what else is done about the load of experts.

    `balance_loss` and `z_loss` are factors of the two losses. `bias_rate` is the step of the
    loss-free bias, 0: none; in the last `anneal_frac` of the run the bias goes to 0 linearly, so
    that the model is trained as it is saved. `capacity_factor` times the even share is what an
    expert takes of a pass, 0: all. Mixtral's factor, 0.02, is 0.04 here: its loads sum to 2.
    Source: arXiv 2101.03961, section 2.2; arXiv 2202.08906, section 3.1; arXiv 2408.15664.
    """

    balance_loss: float = 0.05
    z_loss: float = 0.001
    bias_rate: float = 0.0
    anneal_frac: float = 0.2
    capacity_factor: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise SettingError(name, value, "must not be negative", remedy="0 turns it off")
        if self.anneal_frac > 1:
            raise SettingError("anneal_frac", self.anneal_frac, "must lie in [0, 1]", remedy="0.2")
