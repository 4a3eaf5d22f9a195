"""A run against a plain loop written here, several processes, other models, and what it tells."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.pretraining import make_corpus, tiny_settings
from fixtures.training import ranks
from safetensors.torch import load_file

from burnish.arch import objective, training
from burnish.arch import pretrain_job as module
from burnish.arch.plan import Shape
from burnish.arch.pretrain_job import pretrain
from burnish.base.errors import BurnishError
from burnish.base.files import read_json
from burnish.base.records import read_records
from burnish.base.rng import derive_seed, stream
from burnish.base.settings import to_dict


def plain_logits(weights: dict[str, torch.Tensor], tokens: torch.Tensor, end: int) -> torch.Tensor:
    """A Llama of two query heads and one key head, written out, for windows of tokens."""
    num, length = tokens.shape
    half = 7  # of a head
    angles = torch.arange(length)[:, None] / 10000 ** (torch.arange(half) / half)
    document = (tokens == end).cumsum(1)
    seen = (document[:, :, None] == document[:, None, :]).tril()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weights[name]

    def turned(x: torch.Tensor) -> torch.Tensor:
        a, b = x[..., :half], x[..., half:]
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    x = weights["model.embed_tokens.weight"][tokens]
    layers = {name.split(".")[2] for name in weights if name.startswith("model.layers")}
    for layer in sorted(layers):
        of = f"model.layers.{layer}."
        h = norm(x, of + "input_layernorm.weight")
        q, k, v = (
            (h @ weights[f"{of}self_attn.{n}_proj.weight"].T).view(num, length, -1, 2 * half)
            for n in "qkv"
        )
        q, k = turned(q), turned(k)
        scores = torch.einsum("bqhd,bkd->bhqk", q, k[:, :, 0]) / math.sqrt(2 * half)
        scores = scores.masked_fill(~seen[:, None], -math.inf).softmax(-1)
        mixed = torch.einsum("bhqk,bkd->bqhd", scores, v[:, :, 0]).flatten(2)
        x = x + mixed @ weights[of + "self_attn.o_proj.weight"].T
        h = norm(x, of + "post_attention_layernorm.weight")
        gate, up = (h @ weights[f"{of}mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        x = x + (F.silu(gate) * up) @ weights[of + "mlp.down_proj.weight"].T
    return norm(x, "model.norm.weight") @ weights["model.embed_tokens.weight"].T


def plain_losses(run: Path, settings: Any, *, steps: int) -> list[float]:
    """The losses of the same run: batches, loss, clipping, AdamW and schedule, all written out."""
    plan = read_json(run / "stages" / "plan" / "done.json")["output"]["plan"]
    folder = run / "stages" / "shards" / "shards"
    corpus = training.ShardedCorpus.open(folder, run / "model")
    network = training.make_network(settings, Shape(**plan["shape"]), corpus, context=16, base=None)
    weights = {n: p.detach().clone().requires_grad_() for n, p in network.named_parameters()}
    tokens = np.concatenate([np.fromfile(f, np.uint16) for f in sorted(folder.glob("*.bin"))])
    num_windows, end = math.ceil((len(tokens) - 1) / 16), corpus.marks.end
    seed, order = derive_seed(settings.seed, "order"), []
    for epoch in range(9):
        order += stream(seed, "windows", 0, epoch).permutation(num_windows).tolist()
    matrices = [p for p in weights.values() if p.ndim > 1]
    rest = [p for p in weights.values() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-8, fused=False)
    losses = []
    for step in range(steps):
        batch = []
        for place in order[4 * step : 4 * step + 4]:
            window = tokens[16 * place : 16 * place + 17].astype(np.int64)
            batch.append(F.pad(torch.from_numpy(window), (0, 17 - len(window)), value=-100))
        rows = torch.stack(batch)
        inputs = rows[:, :-1].clone()
        inputs[inputs == -100] = end
        logits = plain_logits(weights, inputs, end).flatten(0, 1)
        loss = F.cross_entropy(logits, rows[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        rate = 3e-3 / 2 if step < 1 else 3e-3 * (1 - (step - 1) / (steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def check_losses(tmp_path: Path, steps: int) -> None:
    given = {"steps": steps, "num_evaluations": 1, "save_every_steps": 50, "warmup_frac": 1 / steps}
    settings = tiny_settings(make_corpus(tmp_path), **given)
    run = Path(pretrain(settings, folder=tmp_path / "run")["run"])
    found = [row["loss"] for row in training.told_steps(run / "stages" / "train")]
    wanted = plain_losses(run, settings, steps=steps)
    assert found == pytest.approx(wanted, abs=1e-4)
    assert found[-1] < found[0] - 0.1


def test_loss_equals_a_plain_loop(tmp_path: Path) -> None:
    check_losses(tmp_path, 50)


@pytest.mark.parametrize("bug", ["filling", "documents"])
def test_planted_bugs(bug: str, tmp_path: Path, monkeypatch: Any) -> None:
    if bug == "filling":  # rows behind the last token are learned too
        monkeypatch.setattr(objective, "IGNORED", 0)
    else:  # a document sees the one before it
        exact = objective.WindowAttend
        monkeypatch.setattr(
            objective, "WindowAttend", lambda *a, **k: exact(*a, **{**k, "across": True})
        )
    with pytest.raises(AssertionError):
        check_losses(tmp_path, 12)


def test_what_a_run_tells(tmp_path: Path, burnish: Any, monkeypatch: Any) -> None:
    """The folder is read by generate, transformers, show and pretraining itself."""
    corpus = make_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["--corpus", corpus, "--params", "20k", "--tokens", "500", "--out", "one", "--json"]
    sets = ["precision=fp32", "vocab=281", "context=16", "batch_tokens=64", "device=cpu"]
    told = burnish("arch", "pretrain", *words, *(w for s in sets for w in ("--set", s)))
    assert told.status == 0, told.err
    result = told.json
    assert result["tokens"] == 448 and result["tokens_per_s"] > 0
    low, value, high = (result["validation"][name] for name in ("low", "value", "high"))
    assert low < value < high < 6
    assert 0 < result["bits_per_byte"] < 8 and result["xz_bits_per_byte"] > 0
    assert result["export_difference"] < 1e-4
    assert "batch_tokens: 64 (given)" in told.err and "arXiv 2503.04715" in told.err
    assert "duplicates" not in told.err
    shown = burnish("arch", "show", "one", "--json").json
    assert (
        shown["num_params"] == shown["num_active_params"] == result["plan"]["values"]["num_params"]
    )
    assert shown["flops_per_token"] > 0 and shown["kv_bytes_per_token_bf16"] == 2 * 2 * 32
    written = burnish("generate", "one", "ab", "--max-new-tokens", "3", "--json")
    assert written.status == 0, written.err
    from transformers import AutoModelForCausalLM, AutoTokenizer

    other = AutoModelForCausalLM.from_pretrained(result["model"])
    tokenizer = AutoTokenizer.from_pretrained(result["model"])
    assert tokenizer.decode(tokenizer("abc de")["input_ids"]) == "abc de"
    assert other.num_parameters() == shown["num_params"]
    changed = burnish("arch", "pretrain", *words, "--set", "batch_tokens=128")
    assert changed.status == 2 and "--from RUN" in changed.err
    more = ["--corpus", corpus, "--from", "one", "--tokens", "200", "--out", "two", "--json"]
    further = burnish("arch", "pretrain", *more, "--set", "precision=fp32", "--set", "context=16")
    assert further.status == 0, further.err
    first, second = (
        load_file(Path(r["model"]) / "model.safetensors") for r in (result, further.json)
    )
    assert first.keys() == second.keys()
    assert further.json["evaluations"][0]["nats_per_token"] == pytest.approx(
        result["evaluations"][-1]["nats_per_token"], rel=1e-4
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"vocab": 32000}, "too large for the text"),
        ({"context": 9999}, "must fill one window of 9999 tokens"),
        ({"minutes": 1e-9, "steps": None}, "must be enough for one step"),
        ({"tokens": "10", "steps": None}, "must be enough for one step"),
        ({"base": "no-such-model", "vocab": None}, "neither an embedded model"),
    ],
)
def test_refusals(given: Any, says: str, tmp_path: Path) -> None:
    given = {"depth": None if "base" in given else 2, **given}
    settings = tiny_settings(make_corpus(tmp_path), **given)
    with pytest.raises(BurnishError, match=says):
        pretrain(settings, folder=tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "result.json").exists()


def test_minutes_become_steps(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(training, "PROBE_S", 0.01)
    monkeypatch.setattr(training, "shared", lambda v: 6400.0 if isinstance(v, float) else v)
    settings = tiny_settings(make_corpus(tmp_path), minutes=0.01, steps=None)
    result = pretrain(settings, folder=tmp_path / "run")
    # 0.95 of 0.6 s at 6,400 tokens per second
    assert result["tokens"] == 57 * 64
    assert result["plan"]["sources"]["tokens"] == "0.01 minutes at 6400 tokens/s"


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)

    def start(name: str, environment: dict[str, str]) -> Any:
        given = to_dict(tiny_settings(corpus, gradient_norms=True)) | {"shard_tokens": 800}
        code = (
            "import json, sys; from pathlib import Path\n"
            "from burnish.arch.pretrain_job import pretrain\n"
            "from burnish.arch.settings import PretrainSettings\n"
            "from burnish.base.coercion import coerce_value\n"
            "given = coerce_value('settings', json.loads(sys.argv[1]), PretrainSettings)\n"
            "pretrain(given, folder=Path(sys.argv[2]))"
        )
        paths = os.pathsep.join(filter(None, sys.path))
        return subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(given), str(tmp_path / name)],
            env=os.environ | environment | {"PYTHONPATH": paths},
        )

    for processes in ([start("one", {})], [start("two", rank) for rank in ranks(2)]):
        assert [process.wait(280) for process in processes] == [0] * len(processes)
    one, two = (tmp_path / name / "stages" / "train" for name in ("one", "two"))
    losses = [[row["loss"] for row in training.told_steps(folder)] for folder in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    norms = [[row["sq_norm"] for row in read_records(f / training.NORMS)] for f in (one, two)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4) and len(norms[0]) == 2 * len(losses[0])
    weights = [load_file(folder / "model" / "model.safetensors") for folder in (one, two)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-5, rtol=1e-5)
    assert read_json(tmp_path / "two" / "result.json")["what"] == module.WHAT


def test_experts_are_told(tmp_path: Path) -> None:
    """A mixture's losses move its loads; its page and its folder are those of a Mixtral."""
    settings = tiny_settings(make_corpus(tmp_path), block="moe:experts=3,top_k=2", ffn_width=72)
    result = pretrain(settings, folder=tmp_path / "run")
    experts = result["experts"]
    assert [sum(layer) for layer in experts["load_frac"]] == pytest.approx([1, 1], abs=1e-5)
    assert len(experts["load_variation"]) == 12 and experts["dropped_frac"] == 0
    assert all(value > 0.9 for _, value in experts["balance_loss"])
    config = read_json(Path(result["model"]) / "config.json")
    assert config["model_type"] == "mixtral" and config["intermediate_size"] == 24
    page = json.dumps(result["page"])
    assert "Expert load" in page and "expert 2" in page


def test_a_solver_is_pretrained(tmp_path: Path) -> None:
    """Its folder is read by transformers; the first evaluations learn too where that is asked."""
    corpus = make_corpus(tmp_path)
    settings = tiny_settings(corpus, block="pcformer:order=2,beta=0.5", first_order_loss=0.3)
    result = pretrain(settings, folder=tmp_path / "run")
    assert result["export_difference"] < 1e-4
    config = read_json(Path(result["model"]) / "config.json")
    assert config["auto_map"]["AutoModelForCausalLM"].endswith("PCformerLlamaForCausalLM")
    plain = pretrain(tiny_settings(corpus), folder=tmp_path / "plain")
    pairs = [r["plan"]["values"]["num_params"] for r in (result, plain)]
    assert pairs[0] == pairs[1] + 1 + 2  # gamma, and a beta a layer
    weights = load_file(Path(result["model"]) / "model.safetensors")
    assert float((weights["model.layers.0.solver.beta"] - 0.5).abs()) > 1e-5  # it learns
    more = tiny_settings(corpus, depth=None, vocab=None, base=str(tmp_path / "run"), steps=2)
    further = pretrain(more, folder=tmp_path / "further")
    assert further["plan"]["shape"]["block"] == "pcformer:beta=0.5"


def test_few_tokens_for_many_experts(tmp_path: Path) -> None:
    """The case `8 experts, 4 tokens in a step`, and its message for a block with a base."""
    given = {"block": "moe:experts=8,top_k=2", "ffn_width": 72, "context": 4, "batch_tokens": 4}
    result = pretrain(tiny_settings(make_corpus(tmp_path), **given), folder=tmp_path / "run")
    assert math.isfinite(result["validation"]["value"])
    with pytest.raises(BurnishError, match="arch upcycle"):
        tiny_settings("x", depth=None, vocab=None, base="y", block="moe")
