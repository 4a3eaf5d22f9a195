"""Small inputs that failed elsewhere: budgets, borders, tiers, other processes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.tiny import reference_logits, texts
from torch import Tensor

from burnish.base.errors import InputError, ModelError
from burnish.engine.policies import read_rows, shape_of
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval import memory as memory_module
from burnish.kv.retrieval import store as store_module
from burnish.stream.asking import Index
from burnish.stream.folder import read_manifest
from burnish.stream.reading import ingest
from burnish.stream.watch import Watched, recall_of

SIZES = "local_tokens=16,num_sinks=4"
ALL = [
    "full",
    "window:budget_tokens=20",
    f"sinks:{SIZES}",
    "snapkv:budget_tokens=20,window_tokens=64",
    "expected-attention:budget_tokens=20,window_tokens=64",
    *(f"{n}:{SIZES}" for n in ("triangle", "triangle-dp", "blocks", "surprise", "quest", "random")),
    f"oracle:{SIZES}",
]


def read(model: Any, memory: Any, tokens: Sequence[int], chunk: int) -> Tensor:
    with torch.inference_mode():
        rows = [
            read_rows(model.network, [memory], [tokens[begin : begin + chunk]])
            for begin in range(0, len(tokens), chunk)
        ]
        return model.network.head(torch.cat(rows))


@pytest.mark.parametrize("spec", ALL)
def test_a_budget_larger_than_the_history(spec: str, tiny_model: Any, tiny_reference: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([10])
    wanted = reference_logits(tiny_reference("llama"), tokens)
    for chunk in range(1, 11):
        found = read(model, open_memory(kv_policies.parse(spec), shape_of(model)), tokens, chunk)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["triangle-dp", "blocks", "oracle", "quest"])
def test_a_budget_without_far_tokens_is_never_empty(name: str, tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([300])
    policy = kv_policies.parse(f"{name}:far_tokens=0,local_tokens=1,num_sinks=0")
    assert bool(torch.isfinite(read(model, open_memory(policy, shape_of(model)), tokens, 7)).all())


def test_an_observation_window_longer_than_the_prompt(tiny_model: Any, tiny_reference: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([15])
    memory = open_memory(kv_policies.parse("snapkv:window_tokens=64"), shape_of(model))
    wanted = reference_logits(tiny_reference("llama"), tokens)
    torch.testing.assert_close(read(model, memory, tokens, 15), wanted, atol=1e-4, rtol=1e-4)
    assert memory.num_kept_tokens == 15


def test_snapkv_holds_a_budget_and_a_chunk(tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([1000])
    policy = kv_policies.parse("snapkv:budget_tokens=64,num_sinks=4,window_tokens=16")
    memory: Any = open_memory(policy, shape_of(model))
    read(model, memory, tokens, 32)
    assert memory.peak_tokens <= 64 + 4 + 32


def test_a_needle_across_a_chunk_and_a_span(tiny_model: Any) -> None:
    """Blocks of 16, needles across their borders: four blocks hold them, two hold half."""
    model, (tokens,) = tiny_model("llama"), texts([140])
    needles, order = [(12, 20), (44, 52)], np.arange(7)
    for far, wanted in ((64, 1.0), (32, 0.5)):
        policy = kv_policies.parse(f"blocks:far_tokens={far},local_tokens=8,num_sinks=0,size=16")
        memory = Watched(open_memory(policy, shape_of(model)), 3)
        read(model, memory, tokens[:-1], 16)
        with pytest.MonkeyPatch.context() as patch:  # the choice that knows where the needles are
            patch.setattr(memory_module, "ranked", lambda *given: order)
            read(model, memory, tokens[-1:], 1)
        assert recall_of(memory.held[0], needles) == wanted


def test_a_text_larger_than_the_fast_tier(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SPILL_TOKENS", 64)
    model, (tokens,) = tiny_model("llama"), texts([1000])
    spec = f"triangle-dp:far_tokens=128,{SIZES},least_tokens=2,most_tokens=16,mean_tokens=8"
    wanted = read(model, open_memory(kv_policies.parse(spec), shape_of(model)), tokens, 50)
    for keep in (0.0, 0.9):
        policy = kv_policies.parse(f"{spec},tier=disk,cache_tokens=200,cache_keep={keep}")
        memory: Any = open_memory(policy, shape_of(model))
        assert torch.equal(read(model, memory, tokens, 50), wanted)
        for store in memory.stores:
            assert store.num_mapped_tokens > 800 and store.cache.num_tokens <= 200


def test_another_rope_or_other_weights_are_refused(
    settings_of: Any, tmp_path: Path, tiny_folder: Any
) -> None:
    ingest(settings_of())
    other = tmp_path / "other"
    shutil.copytree(tiny_folder(), other)
    config = json.loads((other / "config.json").read_text())
    rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
    (other / "config.json").write_text(json.dumps(config | {"rope_parameters": rope}))
    with pytest.raises(ModelError, match=r"model's (rope|weights) must be that of the index"):
        Index(tmp_path / "index", model=str(other))
    with pytest.raises(ModelError, match=r"model's (dtype|weights) must be that of the index"):
        Index(tmp_path / "index", precision="bf16")


def test_names_are_equal_in_every_process(settings_of: Any, tmp_path: Path) -> None:
    ingest(settings_of())
    manifest = read_manifest(tmp_path / "index")
    code = (
        "import sys; from pathlib import Path; from burnish.stream.folder import *;"
        "folder = Path(sys.argv[1]); m = read_manifest(folder); s = read_source(folder, m);"
        "print(write_source(folder, s)['tokens'])"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "index")]
    found = set()
    for seed in ("0", "123"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    assert found == {manifest.tokens}


def test_tokens_that_are_changed_are_refused(settings_of: Any, tmp_path: Path) -> None:
    """The name is a digest of what the file holds: a collision or a change is never used."""
    ingest(settings_of())
    path = tmp_path / "index" / read_manifest(tmp_path / "index").tokens
    with np.load(path) as arrays:
        ids, offsets = arrays["ids"].copy(), arrays["offsets"]
    ids[5] += 1
    np.savez(path, ids=ids, offsets=offsets)
    with pytest.raises(InputError, match="is damaged"):
        Index(tmp_path / "index")
