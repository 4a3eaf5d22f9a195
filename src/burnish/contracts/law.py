"""The interface of a scaling law for fitting, comparison and planning."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

Column = Float[np.ndarray, "runs"]
Columns = Mapping[str, Column]
Thetas = Float[np.ndarray, "draws params"]
PerRun = Float[np.ndarray, "draws runs"]
Pull = Callable[[PerRun], Thetas]


@runtime_checkable
class Surface(Protocol):
    """A law evaluated on given runs, for many parameter vectors at once."""

    def evaluate(self, theta: Thetas) -> tuple[PerRun, Pull]:
        """Log of the loss of every run, and the map from weights on it to their gradient."""
        ...


@runtime_checkable
class Law(Protocol):
    """Loss as a function of columns such as `n`, `d`, `e`, with named parameters.

    Parameters are *natural* where people read them (amplitudes positive, losses in nats) and
    `theta` where they are fitted (logs of what must stay positive), in the order of `params`.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the law reads."""
        ...

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the parameters."""
        ...

    def surface(self, columns: Columns) -> Surface:
        """The law over the runs of `columns`."""
        ...

    def starts(self, columns: Columns, loss: Column) -> Thetas:
        """Parameter vectors to begin fitting from, the most promising first."""
        ...

    def natural(self, theta: Thetas) -> Thetas:
        """Parameters as people read them."""
        ...

    def theta(self, natural: Mapping[str, float]) -> Float[np.ndarray, "params"]:
        """The inverse of `natural` for one vector."""
        ...

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """Exponent a of N_opt ~ C^a for C = 6ND, by family of models; empty if there is none."""
        ...

    def unidentified(self, columns: Columns) -> Mapping[str, str]:
        """Parameters that these runs do not identify, each with the reason."""
        ...
