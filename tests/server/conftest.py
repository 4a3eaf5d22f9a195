"""One tiny model, served for all tests of the session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.served import Asked, serving


@pytest.fixture(scope="session")
def asked(tiny_folder: Callable[[str], Path]) -> Iterator[Asked]:
    """The llama-like tiny model, 32 slots."""
    with serving(tiny_folder("llama"), num_workers=32, max_waiting=64) as one:
        yield one
