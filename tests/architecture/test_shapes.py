"""The run-time check of shapes finds what it is for, in parameters and in results."""

from typing import Any

import pytest
import shapes
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor


def check_findings(checker: Any) -> None:
    @jaxtyped(typechecker=checker)
    def product(left: Float[Tensor, "T D"], right: Float[Tensor, "D C"], scale: float = 1.0, *,
                turned: bool = False, **rest: int) -> Float[Tensor, "T C"]:  # fmt: skip
        found = scale * (left @ right)
        return found.T if turned else found

    left, right = torch.ones(2, 3), torch.ones(3, 5)
    assert product(left, right, 2).shape == (2, 5)  # an int stands for a float
    for words, named in (
        ((left, right.T), {}),  # D is 3, then 5
        ((left[0], right), {}),  # one dimension too few
        ((left, right, "2"), {}),
        ((left, right), {"turned": True}),  # the result does not have the letters' sizes
        ((left, right), {"other": "x"}),
    ):
        with pytest.raises(TypeCheckError):
            product(*words, **named)


def test_wrong_shapes_are_found() -> None:
    check_findings(shapes.checked)


@pytest.mark.parametrize("kept", [True, False])
def test_planted_check_of_one_side(kept: bool) -> None:
    """A check that leaves out results, and one that leaves out parameters."""

    def half(function: Any) -> Any:
        of_result = shapes._hands_on_its_last(function)
        return shapes.checked(function) if of_result is kept else function

    with pytest.raises((AssertionError, RuntimeError, pytest.fail.Exception)):
        check_findings(half)
