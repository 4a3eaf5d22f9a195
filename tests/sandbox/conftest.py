"""Every test of the sandbox keeps what it compiles in one cache for the session."""

import os

import pytest

from burnish.sandbox.probe import probe


@pytest.fixture(scope="session", autouse=True)
def sandbox_cache(tmp_path_factory):
    """A cache of this session, so that nothing depends on what was compiled before."""
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o755)
    before = os.environ.get("BURNISH_CACHE")
    os.environ["BURNISH_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["BURNISH_CACHE"]
    else:
        os.environ["BURNISH_CACHE"] = before


@pytest.fixture
def namespaces(sandbox_cache):
    """Skip where this machine gives nobody namespaces."""
    if trouble := probe().trouble:
        pytest.skip(f"no namespaces: {trouble}")
