"""Maps, drafts and plain continuations for the tests of drafting."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import texts

from burnish.contracts.drafter import Draft
from burnish.contracts.generation import Request, Sampling
from burnish.draft.maps import Maps, backbone_key, save_maps


@pytest.fixture
def random_draft() -> Callable[..., Draft]:
    """A random tree of random tokens behind a root; children of a node are distinct."""

    def make(seed: int, num_nodes: int = 7, root: int = 5) -> Draft:
        source = torch.Generator().manual_seed(seed)
        parents, tokens = [-1], [root]
        for node in range(1, num_nodes):
            parents.append(int(torch.randint(node, (1,), generator=source)))
            tokens.append(10 + 3 * node + int(torch.randint(3, (1,), generator=source)))
        return Draft(tokens=tuple(tokens), parents=tuple(parents))

    return make


@pytest.fixture
def make_maps() -> Callable[..., Maps]:
    """Random maps for a tiny model: garbage that must change no text."""

    def make(model: Any, *, kind: str = "firp", seed: int = 0, **settings: Any) -> Maps:
        source = torch.Generator().manual_seed(seed)
        size, entries = model.config.hidden_size, settings.pop("entries", (1, 2, 2))
        width = size * (2 if settings.get("knows_next") else 1)
        return Maps(
            kind=kind,
            weight=torch.randn(len(entries), size, width, generator=source) * width**-0.5,
            bias=torch.randn(len(entries), size, generator=source) * 0.1,
            vocabulary=torch.randperm(269, generator=source)[:97],
            entries=entries if kind == "firp" else (),
            backbone=backbone_key(model),
            **settings,
        )

    return make


@pytest.fixture
def weights_of(make_maps: Any, tmp_path: Any) -> Callable[..., str]:
    """The path of a file with random maps."""

    def write(model: Any, **settings: Any) -> str:
        path = tmp_path / f"maps-{abs(hash(str(settings)))}.safetensors"
        save_maps(path, make_maps(model, **settings))
        return str(path)

    return write


@pytest.fixture
def requests_of() -> Callable[..., list[Request]]:
    """Requests with settings that go round."""

    def make(lengths: Sequence[int], *settings: Sampling, seed: int = 3) -> list[Request]:
        return [
            Request(id=f"r{i}", prompt=tuple(prompt), sampling=settings[i % len(settings)])
            for i, prompt in enumerate(texts(lengths, seed=seed))
        ]

    return make


@pytest.fixture
def same_texts() -> Callable[..., None]:
    """Assert that completions agree in all but the number of passes."""

    def check(found: Sequence[Any], wanted: Sequence[Any]) -> None:
        plain = [dataclasses.replace(c, num_passes=0, tokens=tuple(c.tokens)) for c in wanted]
        assert [
            dataclasses.replace(c, num_passes=0, tokens=tuple(c.tokens)) for c in found
        ] == plain

    return check
