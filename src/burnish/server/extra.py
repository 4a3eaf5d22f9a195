"""What a server needs besides burnish's core."""

from importlib.util import find_spec

from burnish.base.errors import MissingExtraError

PACKAGES = ("fastapi", "uvicorn", "prometheus_client")


def check_extra() -> None:
    """Raise MissingExtraError where the extra `serve` is not installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        remedy = 'Run pip install "burnish[serve]"'
        raise MissingExtraError("server", missing, "needs more packages", remedy=remedy)
