"""Every test of the sandbox keeps what it compiles in one cache for the session."""

import pytest

from burnish.sandbox.probe import probe


@pytest.fixture(scope="session", autouse=True)
def own_cache(sandbox_cache):
    """Nothing here depends on what was compiled before."""


@pytest.fixture
def namespaces(sandbox_cache):
    """Skip where this machine gives nobody namespaces."""
    if trouble := probe().trouble:
        pytest.skip(f"no namespaces: {trouble}")
