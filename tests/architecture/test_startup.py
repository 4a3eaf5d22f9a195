"""What a module may load: `base` nothing heavy, `--help` nothing that costs."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "scipy", "pyarrow", "pandas", "datasets", "peft", "accelerate"}


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has imported after `code`."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_base_and_its_modules_load_nothing_heavy(package):
    modules = [f"burnish.base.{p.stem}" for p in (package / "base").glob("[a-z]*.py")]
    loaded = loaded_by(f"import {', '.join(modules)}")
    assert "burnish" in loaded
    assert not loaded & HEAVY


def test_help_loads_nothing_heavy(help_of, all_commands):
    assert ("improve",) in all_commands
    loaded = {words: help_of(words).loaded & HEAVY for words in all_commands}
    assert all("burnish" in help_of(words).loaded for words in all_commands)
    assert {words: found for words, found in loaded.items() if found} == {}


@pytest.mark.parametrize("code", ["import scipy", "import json, torch.nn"])
def test_planted_heavy_import(code):
    assert loaded_by(code) & HEAVY
