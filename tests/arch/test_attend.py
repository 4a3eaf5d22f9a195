"""Attention of packed windows against each document by itself."""

from typing import Any

import pytest
import torch

from burnish.arch import attend as module
from burnish.arch.attend import WindowAttend
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed

WINDOWS = torch.tensor(
    [
        [5, 6, 7, 8, 9, 10, 11],  # one document
        [0, 6, 7, 8, 9, 10, 11],  # one, from its beginning
        [5, 6, 0, 8, 0, 0, 11],  # four
        [5, 6, 7, 8, 9, 10, 0],  # the last row begins one
    ]
)


def separate(network: Any, tokens: torch.Tensor, *, across: bool) -> torch.Tensor:
    lengths = []
    for window in tokens.tolist():
        cuts = [i for i, token in enumerate(window) if token == 0 and i and not across]
        lengths += [b - a for a, b in zip([0, *cuts], [*cuts, len(window)], strict=True)]
    attend = SharedAttend(packed(lengths), Rope(network.config), network.shape.windows)
    return network.hidden(tokens.flatten(), attend)


def check(tiny_model: Any, family: str, *, across: bool = False) -> None:
    network = tiny_model(family).network
    with torch.no_grad():
        for picked in ([0, 1, 2, 3], [0, 1], [2, 3]):
            tokens = WINDOWS[picked]
            begins = tokens == 0
            rope = Rope(network.config)
            attend = WindowAttend(rope, network.shape.windows, begins=begins, across=across)
            found = network.hidden(tokens.flatten(), attend)
            wanted = separate(network, tokens, across=across)
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("family", ["llama", "mistral"])  # groups of heads; a sliding window
def test_equals_separate_documents(family: str, across: bool, tiny_model: Any) -> None:
    check(tiny_model, family, across=across)


@pytest.mark.parametrize("bug", ["across", "order"])
def test_planted_bugs(bug: str, tiny_model: Any, monkeypatch: Any) -> None:
    if bug == "across":  # a document sees the one before it
        exact = WindowAttend._mask
        monkeypatch.setattr(WindowAttend, "_mask", lambda self, near, same: exact(self, near, None))
    else:
        monkeypatch.setattr(module.torch.Tensor, "argsort", lambda self: torch.arange(len(self)))
        monkeypatch.setitem(globals(), "WINDOWS", WINDOWS[[2, 3, 0, 1]])
    with pytest.raises(AssertionError):
        check(tiny_model, "llama")
