"""Every test of the analysis keeps what it compiles in one cache for the session."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(sandbox_cache):
    """Nothing here depends on what was compiled before."""
