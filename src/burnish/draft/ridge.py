"""Ridge regression in closed form: where the maps start."""

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK_ROWS = 8192


def ridge(
    features: Float[Tensor, "N d"], targets: Float[Tensor, "N e"], *, penalty: float = 1e-3
) -> tuple[Float[Tensor, "e d"], Float[Tensor, " e"]]:
    """Weight and bias that minimise squared error plus `penalty` times the features' mean variance.

    The bias is not penalised. Sums run in double precision, chunk by chunk.
    Source: Hoerl and Kennard 1970. Oracle: tests/draft/test_ridge.py::test_ridge_equals_lstsq
    """
    num, size = features.shape
    means = features.double().mean(0), targets.double().mean(0)
    square = torch.zeros(size, size, dtype=torch.double)
    cross = torch.zeros(size, targets.shape[1], dtype=torch.double)
    for start in range(0, num, CHUNK_ROWS):
        x = features[start : start + CHUNK_ROWS].double() - means[0]
        y = targets[start : start + CHUNK_ROWS].double() - means[1]
        square += x.T @ x
        cross += x.T @ y
    square += torch.eye(size, dtype=torch.double) * (penalty * square.diagonal().mean())
    weight = torch.linalg.solve(square, cross).T
    return weight.float(), (means[1] - weight @ means[0]).float()
