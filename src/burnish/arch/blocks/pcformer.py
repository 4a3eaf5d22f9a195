"""`pcformer`: layers as steps of a predictor-corrector solver."""

import re
from dataclasses import dataclass
from typing import Literal

from burnish.arch.blocks import blocks
from burnish.base.errors import SettingError
from burnish.models.solver_config import MOST_ORDER, SolverConfig


@blocks.register("pcformer")
@dataclass(frozen=True, kw_only=True)
class PCformerBlock:
    """Each layer predicts with `order` evaluations of itself, then corrects with one more.

    `orders` says it layer by layer instead: `1x10-2x20` is order 1 in ten layers, then order 2 in
    twenty. `beta` is where the learned blend from the plain layer (0) to the solver (1) begins;
    `none` leaves the blend out. [upcycle: 0; pretrain: none]. The other settings are those of
    `SolverConfig`.
    Source: arXiv 2411.03042, from its released code, see docs/papers/pcformer.md.
    Departure: `function=increment`, `gamma_form=sigmoid` and `corrector=euler` are our defaults.
    Oracle: tests/models/test_solver.py::test_equals_a_reference
    """

    order: int = 2
    orders: str = ""
    predictor: Literal["ema", "rk"] = "ema"
    gamma: float = 0.5
    gamma_scope: Literal["shared", "layer", "channel"] = "shared"
    gamma_form: Literal["raw", "sigmoid"] = "sigmoid"
    corrected: bool = False
    corrector: Literal["none", "euler", "moulton", "ema", "mix"] = "euler"
    history: int = 2
    function: Literal["increment", "rknorm", "full"] = "increment"
    shared_kv: bool = False
    beta: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.order <= MOST_ORDER:
            rule = f"must lie between 1 and {MOST_ORDER}"
            raise SettingError("order", self.order, rule, remedy="Use 2")
        if not 0 < self.gamma < 1:
            raise SettingError("gamma", self.gamma, "must lie in (0, 1)", remedy="Use 0.5")
        if not 2 <= self.history <= MOST_ORDER:
            rule, remedy = "must lie between 2 and 4", "2 uses this layer alone"
            raise SettingError("history", self.history, rule, remedy=remedy)
        self._blend(None)
        if self.orders:
            self._parsed()

    def solver(self, num_layers: int, *, beta: float | None) -> SolverConfig:
        """The settings of a model with so many layers; `beta` where the block names none.

        Raises SettingError for an order schedule of another length.
        """
        orders = self._parsed() if self.orders else (self.order,) * num_layers
        if len(orders) != num_layers:
            rule = f"must name {num_layers} layers, as the model has"
            remedy = f"Write {self.order}x{num_layers}, or leave it out"
            raise SettingError("orders", self.orders, rule, remedy=remedy)
        names = ("predictor", "gamma", "gamma_scope", "gamma_form", "corrected", "corrector")
        given = {name: getattr(self, name) for name in (*names, "history", "function", "shared_kv")}
        return SolverConfig(orders=orders, beta=self._blend(beta), **given)

    def _blend(self, default: float | None) -> float | None:
        if self.beta in ("", "none"):
            return None if self.beta else default
        try:
            return float(self.beta)
        except ValueError:
            rule, remedy = "must be a number or none", "0 is the plain layer, 1 the solver"
            raise SettingError("beta", self.beta, rule, remedy=remedy) from None

    def _parsed(self) -> tuple[int, ...]:
        found = [re.fullmatch(r"([1-4])x([0-9]+)", part) for part in self.orders.split("-")]
        if not all(found):
            rule, remedy = "must be orders with numbers of layers", "Write 1x10-2x20"
            raise SettingError("orders", self.orders, rule, remedy=remedy)
        return tuple(int(one[1]) for one in found if one for _ in range(int(one[2])))
