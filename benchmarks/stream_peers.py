"""Claim: a long text in bounded memory, beside full context and SnapKV, on the same questions.

Texts of `--length` tokens inside the model's window, with ten facts each; after the text was read
once, each fact is asked for, greedily. `burnish` reads at most 4 + 1,024 + 512 tokens in each step
and keeps the rest outside; `transformers` keeps all in its dynamic cache (fp32, sdpa); `llama.cpp`
keeps all in its server's cache (Q4_1 weights, f16 cache, flash attention); `kvpress` drops all but
as many tokens as burnish reads (SnapKV, its default window, the question unknown while it reads).
Each way runs alone, one after another. `--kvpress PYTHON` is an interpreter with kvpress, which
needs an older transformers; `--llama-server PROGRAM --gguf FILE` as in `serve_throughput.py`. A way
without its program is left out by name.
"""

import argparse
import json
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import torch
from recording import save
from stream import VOTED

from burnish.base.stats import wilson
from burnish.engine.policies import PolicySession
from burnish.models import export
from burnish.models.load import load_model
from burnish.stream.needles import Haystack, make_haystack
from burnish.stream.policy_audit import under_budget

MODEL = "smollm2-135m"
SINKS, FAR, LOCAL = 4, 1024, 512
KVPRESS = Path(__file__).parent / "peers" / "kvpress_answers.py"

Answers = dict[str, Any]  # read_s, first_s of each question, tokens of each answer, held_tokens


def ours(texts: list[Haystack], given: argparse.Namespace) -> list[Answers]:
    """Spans of `triangle-dp`, with the heads that vote."""
    model, found = load_model(MODEL, precision="fp32"), []
    policy = under_budget(VOTED, far_tokens=FAR, local_tokens=LOCAL, num_sinks=SINKS)
    for text in texts:
        session = PolicySession(model, policy, 1)
        begun = time.perf_counter()
        session.prefill([0], [text.ids])
        read_s, kept = time.perf_counter() - begun, session.snapshot(0)
        firsts, answers = [], []
        for needle in text.needles:
            session.restore(0, kept)
            begun = time.perf_counter()
            tokens = [int(session.prefill([0], [needle.question])[0].argmax())]
            firsts.append(time.perf_counter() - begun)
            while len(tokens) < len(needle.answer):
                tokens.append(int(session.step(tokens[-1:])[0].argmax()))
            answers.append(tokens)
        found.append({"read_s": read_s, "first_s": firsts, "answers": answers,
                      "read_tokens": SINKS + FAR + LOCAL})  # fmt: skip
    return found


@torch.inference_mode()
def transformers(texts: list[Haystack], given: argparse.Namespace) -> list[Answers]:
    """Full context in transformers' dynamic cache."""
    from transformers import AutoModelForCausalLM, DynamicCache

    found = []
    with tempfile.TemporaryDirectory() as folder:
        export(MODEL, Path(folder) / "model")
        model: Any = AutoModelForCausalLM.from_pretrained(
            Path(folder) / "model", dtype=torch.float32, attn_implementation="sdpa"
        )
    for text in texts:
        cache = DynamicCache(config=model.config)

        def step(tokens: Any, cache: Any = cache) -> int:
            ids = torch.tensor([list(tokens)])
            return int(model(ids, past_key_values=cache, logits_to_keep=1).logits[0, -1].argmax())

        begun = time.perf_counter()
        step(text.ids)
        read_s, firsts, answers = time.perf_counter() - begun, [], []
        for needle in text.needles:
            if cache.get_seq_length() > len(text.ids):
                cache.crop(len(text.ids) - cache.get_seq_length())  # takes away the question
            begun = time.perf_counter()
            tokens = [step(needle.question)]
            firsts.append(time.perf_counter() - begun)
            while len(tokens) < len(needle.answer):
                tokens.append(step(tokens[-1:]))
            answers.append(tokens)
        found.append({"read_s": read_s, "first_s": firsts, "answers": answers,
                      "read_tokens": len(text.ids)})  # fmt: skip
    return found


def kvpress(texts: list[Haystack], given: argparse.Namespace) -> list[Answers]:
    """SnapKV in an interpreter of its own."""
    with tempfile.TemporaryDirectory() as folder:
        export(MODEL, Path(folder) / "model")
        asked = {
            "model": f"{folder}/model",
            "keep_tokens": SINKS + FAR + LOCAL,
            "threads": given.threads,
            "texts": [
                {"ids": text.ids, "questions": [(n.question, len(n.answer)) for n in text.needles]}
                for text in texts
            ],
        }
        done = subprocess.run(
            [given.kvpress, str(KVPRESS)], input=json.dumps(asked), text=True, check=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    given.peers += [f"kvpress {told['version']}", f"its transformers {told['transformers']}"]
    return told["texts"]


def llama_cpp(texts: list[Haystack], given: argparse.Namespace) -> list[Answers]:
    """Full context in llama.cpp's server, whose slot keeps what was read."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [given.llama_server, "-m", given.gguf, "--port", str(port), "--parallel", "1",
             "-c", str(given.length + 256), "-t", str(given.threads), "-fa", "on",
             "--no-webui"]  # fmt: skip
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=1800) as client:
            _wait(client)
            return [_asked(client, text) for text in texts]
    finally:
        server.terminate()
        server.wait(60)


def _wait(client: httpx.Client) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SystemExit("llama-server did not start")


def _asked(client: httpx.Client, text: Haystack) -> Answers:
    def ask(ids: list[int], num: int) -> dict[str, Any]:
        body = {"prompt": ids, "n_predict": num, "temperature": 0, "cache_prompt": True,
                "return_tokens": True, "ignore_eos": True}  # fmt: skip
        reply = client.post("/completion", json=body)
        reply.raise_for_status()
        return reply.json()

    begun = time.perf_counter()
    ask(list(text.ids), 1)
    read_s, firsts, answers = time.perf_counter() - begun, [], []
    for needle in text.needles:
        told = ask([*text.ids, *needle.question], len(needle.answer))
        firsts.append(told["timings"]["prompt_ms"] / 1000)
        answers.append(told["tokens"])
    return {"read_s": read_s, "first_s": firsts, "answers": answers, "read_tokens": len(text.ids)}


def summary(texts: list[Haystack], rows: list[Answers]) -> dict[str, Any]:
    """Right answers with their interval; medians of the times."""
    right = [
        list(answer[: len(needle.answer)]) == list(needle.answer)
        for text, row in zip(texts, rows, strict=True)
        for needle, answer in zip(text.needles, row["answers"], strict=True)
    ]
    return {
        "right": wilson(sum(right), len(right)).to_dict(),
        "read_s": statistics.median(row["read_s"] for row in rows),
        "first_s": statistics.median(second for row in rows for second in row["first_s"]),
        "read_tokens": rows[0]["read_tokens"],
    }


def main() -> None:
    """All ways that are there, on the same texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=7936)
    parser.add_argument("--texts", type=int, default=2)
    parser.add_argument("--needles", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kvpress")
    parser.add_argument("--llama-server")
    parser.add_argument("--gguf")
    given = parser.parse_args()
    given.peers = ["transformers"]
    torch.set_num_threads(given.threads)
    ways: dict[str, Callable[..., list[Answers]]] = {"burnish": ours, "transformers": transformers}
    if given.kvpress:
        ways["kvpress"] = kvpress
    if given.llama_server and given.gguf:
        ways["llama.cpp"] = llama_cpp
        given.peers.append("llama.cpp " + version_of(given.llama_server))
    tokenizer = load_model(MODEL).tokenizer
    texts = [
        make_haystack(
            tokenizer, corpus="stdlib", length=given.length, num_needles=given.needles, tail=1024,
            seed=seed, kind="facts",
        )
        for seed in range(given.texts)
    ]  # fmt: skip
    found = {}
    for name, way in ways.items():
        found[name] = summary(texts, way(texts, given))
        print(name, found[name], flush=True)
    left_out = sorted({"kvpress", "llama.cpp"} - found.keys())
    sizes = {name: getattr(given, name) for name in ("length", "texts", "needles", "threads")}
    save("stream_peers", sizes | {"ways": found, "left_out": left_out}, peers=given.peers)


def version_of(program: str) -> str:
    """The build that llama-server names."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return (told.stdout + told.stderr).partition("version: ")[2].split("\n")[0].strip()


if __name__ == "__main__":
    main()
