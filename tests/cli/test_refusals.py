"""Wrong input: one sentence with a remedy, the right exit status, nothing left half-written."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixtures.improving import task_rows, write_tasks

Burnish = Callable[..., Any]


def check_refusal(done: Any, status: int, *says: str) -> str:
    """One line `error: ...` at the end of stderr, nothing on stdout, no traceback."""
    lines = done.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert done.status == status, done.err
    assert len(errors) == 1 and lines[-1] == errors[0], done.err
    assert "Traceback" not in done.err and done.out == ""
    assert re.fullmatch(r"error: .*, got .*\. .*[.?]", errors[0]), errors[0]
    assert len(errors[0]) <= 400
    for text in says:
        assert text in errors[0], errors[0]
    return errors[0]


@pytest.fixture
def improve(burnish: Burnish, settings: Any, tmp_path: Path) -> Burnish:
    """`burnish improve` on the tiny model; `given` are settings that a file overrides."""

    def run(*words: Any, **given: Any) -> Any:
        from burnish.base.settings import to_dict

        config = tmp_path / "settings.json"
        config.write_text(json.dumps(to_dict(settings) | given))
        return burnish("improve", "--config", config, "--runs", tmp_path / "runs", *words)

    return run


@pytest.fixture
def no_run(tmp_path: Path) -> Callable[[], None]:
    """Asserts that no run was begun."""

    def check() -> None:
        assert not (tmp_path / "runs").exists()

    return check


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "m", "a", "--max-new-tokens", "x" * 900),
        ("generate", "m", "a", "--" + "x" * 900),
        ("x" * 900,),
        ("generate", "m" * 900, "a"),
        ("generate", "m", "a", "--precision", "x" * 900),
        ("verify", "x/" * 200),
        ("prefer", "audit", "x" * 900),
    ],
)
def test_no_line_is_longer_than_400_characters(burnish: Burnish, words: tuple[str, ...]) -> None:
    done = burnish(*words)
    assert done.status == 2 and "rror: " in done.err
    assert max(map(len, done.err.splitlines())) <= 400 and "Traceback" not in done.err


def test_words_that_are_no_utf_8(burnish: Burnish, tiny_folder: Any) -> None:
    done = burnish("generate", tiny_folder(), "caf\udce9")
    check_refusal(done, 2, "prompt must be valid UTF-8")
    done = burnish("generate", tiny_folder(), "a", "--set", 'stop=["caf\udce9"]')
    check_refusal(done, 2, "--set must be valid UTF-8")


def test_missing_task_file(improve: Burnish, tmp_path: Path, no_run: Any) -> None:
    write_tasks(tmp_path / "sums.jsonl")
    done = improve(tasks=[str(tmp_path / "sum.jsonl")])
    check_refusal(done, 2, "tasks must be a file or a source", "Did you mean 'sums.jsonl'?")
    no_run()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{'prompt': 1}", "must be JSON"),
        ('["prompt"]', "must be a JSON object"),
        ('{"prompt": "2 + 2"}', "answer must be a text or a number"),
        ('{"answer": "4"}', "prompt must be a text"),
        ('{"prompt": "p", "answer": "a", "checker": "numbr"}', "Did you mean 'number'?"),
        ('{"prompt": "p", "answer": "a", "checker": 5}', "checker must be a string"),
        ('{"question": "p", "answer": "4"}', "####"),
    ],
)
def test_broken_row(row: str, says: str, improve: Burnish, tmp_path: Path, no_run: Any) -> None:
    path = write_tasks(tmp_path / "tasks.jsonl")
    with path.open("a") as file:
        file.write("\n" + row + "\n")
    check_refusal(improve(tasks=[str(path)]), 2, f"{path}:82", says)
    no_run()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("reasoning-gym:chain_some", "Did you mean 'chain_sum'?"),
        ("reasoning-gym:chain_sum?min_term=2", "Did you mean 'min_terms'?"),
        ("reasoning-gym:chain_sum?min_terms=5&max_terms=2", "must fit"),
        ("reasoning-gym:chain_sum?size=many", "must be a whole number"),
        ("reasoning-gim:chain_sum", "Did you mean 'reasoning-gym'?"),
        ("gsm8k", "Write gsm8k:NAME"),
    ],
)
def test_wrong_source(spec: str, says: str, improve: Burnish, no_run: Any) -> None:
    check_refusal(improve(tasks=[spec]), 2, says)
    no_run()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "sample.num_sample=3"), "Did you mean 'sample.num_samples'?"),
        (("--set", "rounds=many"), "rounds must be int"),
        (("--set", "rounds=0"), "rounds must be at least 1"),
        (("--set", "split.heldout=1"), "heldout must be at least 2"),
        (("--set", "sample.top_p=1.5"), "top_p must lie in (0, 1]"),
        (("--set", "rounds"), "key=value"),
        (("--preset", "labtop"), "Did you mean 'laptop'?"),
        (("--config", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_wrong_settings(words: Any, says: str, improve: Burnish, no_run: Any) -> None:
    check_refusal(improve(*words), 2, says)
    no_run()


def test_more_tasks_than_there_are(improve: Burnish, tmp_path: Path) -> None:
    for words in ((), ("--dry-run",)):
        done = improve(*words, split={"train": 90, "dev": 16, "heldout": 32})
        check_refusal(done, 2, "must contain 138 tasks", "got 80", "--set split.train=5")
        assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("generate", "{}", "hello"),
        ("chat", "{}"),
        ("models", "show", "{}"),
        ("models", "get", "{}"),
        ("models", "export", "{}", "out"),
        ("improve", "{}"),
        ("improve", "{}", "--dry-run"),
    ],
)
@pytest.mark.parametrize(
    ("model", "says"),
    [("smollm2-315m", "Did you mean 'smollm2-135m'?"), ("nobody/nothing", "smollm2-135m")],
)
def test_unknown_model(
    command: tuple[str, ...],
    model: str,
    says: str,
    burnish: Burnish,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    check_refusal(burnish(*(word.format(model) for word in command)), 2, says)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_hold_no_model(burnish: Burnish, tmp_path: Path, tiny_folder: Any) -> None:
    check_refusal(burnish("generate", tmp_path, "hello"), 2, "must contain config.json")
    check_refusal(burnish("generate", tmp_path / "x.gguf", "hello"), 2, "existing file")
    broken = Path(shutil.copytree(tiny_folder("llama"), tmp_path / "broken"))
    (broken / "model.safetensors").unlink()
    check_refusal(burnish("generate", broken, "hello"), 2, "safetensors")
    (broken / "config.json").write_text("{")
    check_refusal(burnish("models", "show", broken), 2, "cannot be read")


def test_no_chat_template(
    burnish: Burnish, tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Path(shutil.copytree(tiny_folder("llama"), tmp_path / "base"))
    (base / "chat_template.jinja").unlink()
    for words in (("chat", base), ("generate", base, "hello", "--chat")):
        check_refusal(burnish(*words), 2, "has no chat template", "instruct model")


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_empty_prompt(prompt: str, burnish: Burnish, tiny_folder: Any) -> None:
    for words in ((), ("--chat",)):
        done = burnish("generate", tiny_folder("llama"), prompt, *words)
        check_refusal(done, 2, "prompt must not be empty")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--max-new-tokens", "0"), "max_new_tokens must be at least 1"),
        (("--max-new-tokens", "5000"), "window of 4096 tokens"),
        (("--temperature", "-1"), "temperature must not be negative"),
        (("--set", "top_p=0"), "top_p must lie in"),
        (("--set", 'stop=[""]'), "stop must not hold an empty string"),
        (("--kv", "windw"), "Did you mean 'window'"),
        (("--kv", "window:budget=5"), "has no such field"),
        (("--kv", "window:budget_tokens=3"), "budget_tokens must be more than num_sinks (4)"),
        (("--kv", "window", "--draft", "ngram"), "draft must be plain with a KV policy"),
        (("--precision", "fp16"), "precision must be auto, fp32, bf16, int8 or int4"),
    ],
)
def test_wrong_sampling(words: Any, says: str, burnish: Burnish, tiny_folder: Any) -> None:
    check_refusal(burnish("generate", tiny_folder("llama"), "hello", *words), 2, says)


def test_wrong_address(burnish: Burnish) -> None:
    done = burnish("generate", "openai:localhost", "x")
    check_refusal(done, 2, "must have the form openai:URL#name")
    spec = "openai:http://127.0.0.1:9/v1#m"  # nothing listens on the discard port
    check_refusal(burnish("generate", spec, "x"), 2, "must answer")
    for words in (("generate", spec, "x"), ("chat", spec)):
        says = "kv must be left out for a server's model, got 'window'"
        check_refusal(burnish(*words, "--kv", "window"), 2, says)


def test_a_policy_needs_our_decoder(burnish: Burnish, tiny_folder: Any) -> None:
    done = burnish("generate", tiny_folder("gpt2"), "hello", "--kv", "window")
    check_refusal(done, 2, "KV policy needs a model that burnish's own decoder runs, got 'window'")


def test_nothing_to_learn_from(improve: Burnish, tmp_path: Path) -> None:
    rows = [{**row, "answer": "1000"} for row in task_rows()]
    path = write_tasks(tmp_path / "impossible.jsonl", rows)
    done = improve(tasks=[str(path)])
    check_refusal(done, 1, "none of the samples was right", "easier tasks")
    assert not (tmp_path / "runs" / "last" / "result.json").exists()


def test_machine_that_is_too_small(
    improve: Burnish, monkeypatch: pytest.MonkeyPatch, no_run: Any
) -> None:
    from burnish.recipes import planning

    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 100_000}
    monkeypatch.setattr(planning.os, "sysconf", sizes.get)
    for words in ((), ("--dry-run",)):
        check_refusal(improve(*words), 3, "memory must hold", "smaller model")
    no_run()
    monkeypatch.undo()


def test_disk_that_is_too_small(
    improve: Burnish, monkeypatch: pytest.MonkeyPatch, no_run: Any
) -> None:
    from burnish.recipes import planning

    monkeypatch.setattr(planning.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    check_refusal(improve(), 3, "disk of ", "--runs")
    no_run()


@pytest.mark.parametrize(
    ("method", "limit_bytes"), [("full", 5_000), ("full", 60_000), ("lora", 60_000)]
)
def test_full_disk(
    method: str, limit_bytes: int, improve: Burnish, settings: Any, tmp_path: Path
) -> None:
    """No file may grow past the limit: tasks, checkpoint and weights cannot be written."""
    import resource
    from dataclasses import asdict

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    train = asdict(settings.train) | {"method": method}
    train["lora"]["rank"] = 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        done = improve(train=train, rounds=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_refusal(done, 2, "written")
    run = (tmp_path / "runs" / "last").resolve()
    assert not any((run / name).exists() for name in ("result.json", "model", "report"))
    assert [p for p in run.rglob(".*") if p.is_file()] == []


def test_reports_of_runs_that_are_not_there(burnish: Burnish, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for words in (
        ("report", "show", tmp_path / "runs" / "last"),
        ("report", "bundle", tmp_path / "runs" / "last", tmp_path / "out.zip"),
        ("report", "compare", tmp_path / "runs" / "a", tmp_path / "runs" / "b"),
        ("verify", tmp_path / "runs" / "last"),
    ):
        check_refusal(burnish(*words), 2, "run does not exist", "is empty")
    assert not (tmp_path / "out.zip").exists()


def test_reports_of_runs_that_have_no_result(
    burnish: Burnish, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(finished / "run.json", run)
    for words in (("report", "show", run), ("report", "compare", finished, run), ("verify", run)):
        check_refusal(burnish(*words), 2, "interrupted runs resume")


def test_export_into_an_existing_folder(burnish: Burnish, tiny_folder: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    done = burnish("models", "export", tiny_folder("llama"), tmp_path / "there")
    check_refusal(done, 2, "must not exist")
    assert list((tmp_path / "there").iterdir()) == []


def test_a_run_folder_of_other_settings(improve: Burnish, finished: Path) -> None:
    before = (finished / "run.json").read_text()
    check_refusal(
        improve("--run", finished, "--set", "seed=5"), 2, "holds a run with other settings"
    )
    assert (finished / "run.json").read_text() == before


def test_a_reader_that_has_gone() -> None:
    """`burnish ... | head` ends without a word, also where the output is short."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "burnish.cli.main", "--version"],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
