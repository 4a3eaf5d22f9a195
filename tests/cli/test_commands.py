"""Commands that do what they say: one JSON object on stdout, or a text for people."""

import io
import json
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.improving import interrupt_after, numbers_of

from burnish.base.records import read_json
from burnish.base.settings import to_dict

Burnish = Callable[..., Any]


@pytest.fixture
def config(settings: Any, tmp_path: Path) -> Path:
    """A settings file of the tiny run."""
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(to_dict(settings)))
    return path


# ---- improve ----


def test_improve_prints_one_object(
    burnish: Burnish, config: Path, finished: Path, tmp_path: Path
) -> None:
    words = ("improve", "--config", config, "--runs", tmp_path / "runs", "--json")
    done = burnish(*words)
    result = done.json
    outcomes = {gate["name"]: gate["outcome"] for gate in result["gates"]}
    assert outcomes["better"] == "pass" and done.status == int("fail" in outcomes.values())
    keys = {"run", "before", "after", "gain", "gates", "minutes", "model"}
    assert keys <= result.keys() and "page" not in result
    for estimate in (result["gain"], result["before"]["accuracy"], result["after"]["accuracy"]):
        assert estimate.keys() == {"value", "low", "high", "n"}
    straight = numbers_of(read_json(finished / "result.json"))
    saved = read_json(Path(result["run"]) / "result.json")
    assert numbers_of(saved) == straight
    assert saved["page"]["command"] == " ".join(map(str, ["burnish", *words]))
    assert "plan: about" in done.err and "round 2 did not help" in done.err
    assert "\r" not in done.err and "\x1b" not in done.err


def test_improve_prints_a_page(burnish: Burnish, config: Path, finished: Path) -> None:
    done = burnish("improve", "--config", config, "--runs", finished.parent)
    result = read_json(finished / "result.json")
    assert result["page"]["verdict"] in " ".join(done.out.split())
    assert f"report: {finished}/report/index.html" in done.out
    assert "unchanged, reused" in done.err
    assert "(resuming)" in done.err


def test_no_gain_is_status_1(burnish: Burnish, config: Path, tmp_path: Path) -> None:
    words = ("improve", "--config", config, "--runs", tmp_path / "runs", "--json")
    done = burnish(*words, "--set", "train.learning_rate=1e-12", "--set", "rounds=1")
    assert done.status == 1
    assert done.json["gates"][0]["outcome"] == "undetermined"


def test_dry_run_writes_nothing(burnish: Burnish, config: Path, tmp_path: Path) -> None:
    words = ("improve", "--config", config, "--runs", tmp_path / "runs", "--dry-run")
    plan = burnish(*words, "--json").json
    assert {"minutes", "memory_bytes", "disk_bytes", "generated_tokens"} <= plan.keys()
    lines = burnish(*words).out.splitlines()
    assert lines[0].startswith("plan: about ") and len(lines) == 1 + len(plan["steps"])
    told = {step["step"]: step["tokens"] for step in plan["steps"]}
    assert told["scaling"] is None and told["sample"]["generated_tokens"] > 0
    assert any(line.split()[:2] == ["scaling", "off:"] for line in lines)
    assert not (tmp_path / "runs").exists()


def test_ctrl_c(burnish: Burnish, config: Path, finished: Path, tmp_path: Path) -> None:
    words = ("improve", "--config", config, "--runs", tmp_path / "runs", "--json")
    for stage, count in (("sample-1", 20), ("teach-1", 3)):
        undo = interrupt_after(stage, count, signal.SIGINT)
        try:
            done = burnish(*words)
        finally:
            undo()
        assert (done.status, done.out) == (130, "")
        lines = done.err.splitlines()
        assert lines[-1] == "interrupted; repeat the command to resume"
        assert "Traceback" not in done.err and "bort" not in done.err
    done = burnish(*words)
    assert "(resuming)" in done.err
    saved = read_json(Path(done.json["run"]) / "result.json")
    assert numbers_of(saved) == numbers_of(read_json(finished / "result.json"))


# ---- text ----


def test_generate(burnish: Burnish, tiny_folder: Any, tiny_model: Any) -> None:
    words = ("generate", tiny_folder("llama"), "the abc", "--max-new-tokens", 7, "--greedy")
    done = burnish(*words, "--precision", "fp32", "--json")
    found = done.json
    assert {"text", "tokens", "tokens_per_s", "num_passes"} <= found.keys()
    assert (found["tokens"], found["num_passes"], done.status) == (7, 7, 0)
    assert found["tokens_per_s"] > 0 and done.err == ""
    from burnish.contracts.generation import Request, Sampling
    from burnish.engine.generate import generate

    model = tiny_model("llama")
    prompt = tuple(model.tokenizer("the abc")["input_ids"])
    request = Request(id="x", prompt=prompt, sampling=Sampling(max_new_tokens=7))
    assert found["text"] == generate(model, [request])[0].text
    plain = burnish(*words, "--precision", "fp32")
    assert plain.out == found["text"] + "\n" and "7 tokens, " in plain.err


def test_generate_with_drafts_is_the_same_text(burnish: Burnish, tiny_folder: Any) -> None:
    words = ("generate", tiny_folder("llama"), "the abc the abc", "--max-new-tokens", 30)
    words = (*words, "--precision", "fp32", "--json")
    for given in (("--greedy",), ("--set", "seed=5", "--temperature", 1.0, "--set", "top_p=0.9")):
        plain = burnish(*words, *given).json
        done = burnish(*words, *given, "--draft", "ngram:min_match=1")
        assert (done.json["text"], done.status, done.err) == (plain["text"], 0, "")
        assert done.json.keys() == plain.keys()
        assert done.json["tokens"] == plain["tokens"]
    auto = burnish(*words, "--draft", "auto")
    assert auto.json["text"] == burnish(*words).json["text"]
    assert auto.err.startswith("draft: no drafter was trained for this model")


def test_generate_and_chat_under_a_policy(
    burnish: Burnish, tiny_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that covers the text changes nothing; a smaller one is heeded by both commands."""
    folder, policy = tiny_folder("llama"), "window:budget_tokens=5,num_sinks=1"
    settings = ("--max-new-tokens", 9, "--precision", "fp32")
    words = ("generate", folder, "the abc the tin in the abc", "--greedy", "--json", *settings)
    plain = burnish(*words).json["text"]
    assert burnish(*words, "--kv", "full").json["text"] == plain
    assert burnish(*words, "--kv", "window:budget_tokens=4096").json["text"] == plain
    assert burnish(*words, "--kv", policy).json["text"] != plain
    answers = []
    for kv in ("full", policy):
        monkeypatch.setattr(sys, "stdin", io.StringIO("the abc\n\n"))
        done = burnish("chat", folder, "--temperature", 0, "--kv", kv, *settings)
        assert done.status == 0
        answers.append(done.out)
    assert answers[0] != answers[1]


def test_generate_reads_standard_input(
    burnish: Burnish, tiny_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--max-new-tokens", 5, "--set", "seed=3", "--json")
    given = burnish("generate", tiny_folder("llama"), "abc", *words).json
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    piped = burnish("generate", tiny_folder("llama"), "-", *words).json
    assert piped["text"] == given["text"]
    other = burnish("generate", tiny_folder("llama"), "abc", *words, "--set", "seed=4").json
    assert other["text"] != given["text"]


def test_chat_remembers_the_conversation(
    burnish: Burnish, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.recipes.answers import LocalWriter

    exact, seen = LocalWriter.chat, []

    def chat(self: Any, messages: Any, sampling: Any) -> Any:
        done = exact(self, messages, sampling)
        seen.append(([(m["role"], m["content"]) for m in messages], sampling.seed, done.text))
        return done

    monkeypatch.setattr(LocalWriter, "chat", chat)
    monkeypatch.setattr(sys, "stdin", io.StringIO("red 1\nblue 2\n\nnot read\n"))
    done = burnish("chat", settings.model, "--max-new-tokens", 4)
    assert done.status == 0 and "is ready" in done.err
    (one, _, first), (two, _, second) = seen
    assert one == [("user", "red 1")]
    assert two == [("user", "red 1"), ("assistant", first), ("user", "blue 2")]
    assert done.out == f"{first}\n{second}\n"
    assert seen[0][1] != seen[1][1]


# ---- models ----


@pytest.mark.parametrize("family", ["llama", "llama-biased", "gpt2"])
def test_models_show(family: str, burnish: Burnish, tiny_folder: Any, tiny_reference: Any) -> None:
    found = burnish("models", "show", tiny_folder(family), "--json").json
    numel = sum(p.numel() for p in tiny_reference(family).parameters())
    assert found["num_params"] == numel
    assert found["engine"] == ("adapter" if family == "gpt2" else "decoder")
    assert f"{numel}" in burnish("models", "show", tiny_folder(family)).out.replace(",", "")


def test_models_list(burnish: Burnish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path))
    (model,) = burnish("models", "list", "--json").json["models"]
    assert (model["name"], model["cached"], model["licence"]) == (
        "smollm2-135m",
        False,
        "Apache-2.0",
    )
    assert "smollm2-135m" in burnish("models", "list").out


def test_models_get_and_export(
    burnish: Burnish, tiny_folder: Any, tiny_reference: Any, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder = tiny_folder("llama")
    assert burnish("models", "get", folder).out == f"{folder}\n"
    assert burnish("models", "get", folder, "--json").json["folder"] == str(folder)
    out = tmp_path / "new" / "model"
    assert burnish("models", "export", folder, out).out == f"{out}\n"
    theirs = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).state_dict()
    for name, weight in tiny_reference("llama").state_dict().items():
        assert torch.equal(theirs[name], weight)


# ---- reports ----


def test_report_show(burnish: Burnish, finished: Path) -> None:
    result = read_json(finished / "result.json")
    shown = burnish("report", "show", finished)
    assert result["page"]["verdict"] in " ".join(shown.out.split())
    assert burnish("report", "show", finished, "--json").json == {
        name: value for name, value in result.items() if name != "page"
    }


def test_report_compare(burnish: Burnish, finished: Path, tmp_path: Path) -> None:
    done = burnish("report", "compare", finished, finished, "--out", tmp_path / "page")
    assert done.status == 0 and "before.accuracy" in done.out and "0 settings changed" in done.out
    assert (tmp_path / "page" / "index.html").is_file()


def test_report_bundle(burnish: Burnish, finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "run.zip"
    assert burnish("report", "bundle", finished, target).out == f"{target}\n"
    names = zipfile.ZipFile(target).namelist()
    assert f"{finished.name}/result.json" in names
    assert not any(name.endswith((".safetensors", ".pt")) for name in names)


def test_verify(burnish: Burnish, finished: Path) -> None:
    done = burnish("verify", finished, "--json")
    assert done.status == 0 and done.json["same"] is True


def test_verify_finds_a_change(burnish: Burnish, finished: Path, tmp_path: Path) -> None:
    import shutil

    run = Path(shutil.copytree(finished, tmp_path / "run"))
    with (run / "stages" / "measure-after" / "answers.jsonl").open("a") as file:
        file.write("\n")
    done = burnish("verify", run)
    assert done.status == 1 and "files of measure-after" in done.out and "Different." in done.out


def test_doctor(burnish: Burnish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "not" / "yet"))
    found = burnish("doctor", "--json").json
    assert {"device", "precision", "cache", "free disk", "version torch"} <= found.keys()
    assert "not fetched" in found["model smollm2-135m"]
    assert "precision" in burnish("doctor").out


# ---- the embedded model ----


@pytest.mark.weights
def test_smollm2_shows_its_size(burnish: Burnish) -> None:
    found = burnish("models", "show", "smollm2-135m", "--json").json
    assert found["num_params"] == 134_515_008
    assert {"flops_per_token", "num_active_params", "num_embedding_params"} <= found.keys()


@pytest.mark.weights
def test_smollm2_knows_paris(burnish: Burnish) -> None:
    words = ("generate", "smollm2-135m", "The capital of France is", "--max-new-tokens", "16")
    found = burnish(*words, "--greedy", "--json").json
    assert "Paris" in found["text"] and 1 <= found["tokens"] <= 16
