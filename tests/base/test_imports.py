"""`burnish.base` stays light: `--help` pays for it on every call."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "scipy", "pydantic", "rich", "pyarrow", "yaml", "pandas"}


@pytest.mark.parametrize(
    "module", ["records", "registry", "runs", "settings", "progress", "meter", "rng", "stats"]
)
def test_importing_base_imports_nothing_heavy(module):
    code = f"import sys, burnish.base.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & HEAVY
    assert ("numpy" in loaded) == (module in {"rng", "stats"})
