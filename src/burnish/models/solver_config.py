"""Settings of a predictor-corrector layer, without torch.

This file and `solver` are copied into saved folders (see `remote_code`): both stand on torch alone.
"""

from dataclasses import dataclass

MOST_ORDER = 4


@dataclass(frozen=True, kw_only=True)
class SolverConfig:
    """How each layer advances the stream; `orders[l]` are the predictor's stages of layer l.

    `predictor`: stages combined by an exponential moving average with a learned gamma (`ema`), or
    by the weights of the Runge-Kutta table (`rk`). `gamma_scope` and `gamma_form` say what gamma
    is; `corrected` divides the weights by their sum. `corrector`: none, backward `euler`,
    Adams-`moulton`, `ema` over several steps, or the released dense `mix` of layers;
    `history` is the number of terms of `moulton` and `ema`. `function`: what a stage is, the
    layer's increment, its output behind a norm (`rknorm`), or its output with the residual
    (`full`). `shared_kv`: all stages attend to keys and values of the first. `beta` is where the
    learned blend between the plain layer (0) and the solver (1) begins; None: the solver alone.
    Source: arXiv 2411.03042, from its released code; `increment` and the blend are ours.
    """

    orders: tuple[int, ...]
    predictor: str = "ema"
    gamma: float = 0.5
    gamma_scope: str = "shared"
    gamma_form: str = "sigmoid"
    corrected: bool = False
    corrector: str = "euler"
    history: int = 2
    function: str = "increment"
    shared_kv: bool = False
    beta: float | None = None

    def num_evaluations(self, layer: int) -> int:
        """How often a layer is evaluated: once a stage, and once by the corrector."""
        return self.orders[layer] + (self.corrector != "none")

    @property
    def num_places(self) -> tuple[int, ...]:
        """For each layer, how many keys and values of a token are kept."""
        if self.shared_kv:
            return (1,) * len(self.orders)
        return tuple(self.num_evaluations(layer) for layer in range(len(self.orders)))

    def first_place(self, layer: int) -> int:
        """Where the cache keeps the first evaluation of a layer; the others follow it."""
        return sum(self.num_places[:layer])

    @property
    def num_norms(self) -> int:
        """Norms of stages, for `rknorm`: one a stage index, for all layers."""
        if self.function != "rknorm":
            return 0
        return max(self.orders) + (self.corrector not in ("none", "mix"))
