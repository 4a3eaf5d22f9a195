"""Claim: at concurrency 8, more tokens a second than llama.cpp's own server on the same weights.

Both servers run the same Q4_1 file with the same threads and eight slots, and get the same greedy
chats, `--concurrency` at once, in turns, and who begins alternates. Both use their own chat
template; the tokens that each says it read and wrote are kept, and prompts that differ by more than
a tenth end the run. Each run counts the tokens that its server reports and the time from the first
request to the last answer; first tokens come from the streams. Ours runs without drafts unless
`--draft` says so. `--llama-server` names the program, built with its defaults for this machine from
the source that `llama-cpp-python` ships:

    cmake -B build -DCMAKE_BUILD_TYPE=Release vendor/llama.cpp
    cmake --build build --target llama-server
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
from recording import median, save
from serve_load import QUESTIONS, Server, percentiles


class Theirs:
    """`llama-server` in a process of its own."""

    def __init__(self, program: str, file: str, slots: int, threads: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [program, "-m", file, "--port", str(port), "--parallel", str(slots), "-c",
                 str(1024 * slots), "-t", str(threads), "--jinja", "--no-webui"]  # fmt: skip
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.2)
        raise SystemExit("llama-server did not start")

    def stop(self) -> int:
        """End it."""
        self.process.terminate()
        return self.process.wait(60)


async def chat(client: httpx.AsyncClient, index: int, num_new: int) -> tuple[float, int, int]:
    """One streamed answer: seconds to its first token, tokens written and read."""
    text = f"{QUESTIONS[index % len(QUESTIONS)]} Answer number {index}."
    body = {"model": "served", "messages": [{"role": "user", "content": text}], "stream": True,
            "max_tokens": num_new, "temperature": 0,
            "stream_options": {"include_usage": True}}  # fmt: skip
    begun, first, num, num_read = time.perf_counter(), 0.0, 0, 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event: dict[str, Any] = json.loads(line[6:])
            if not first and event["choices"] and event["choices"][0]["delta"].get("content"):
                first = time.perf_counter() - begun
            if event.get("usage"):
                num = event["usage"]["completion_tokens"]
                num_read = event["usage"]["prompt_tokens"]
    return first, num, num_read


async def run(url: str, num: int, concurrency: int, num_new: int) -> dict[str, Any]:
    """So many chats: tokens a second, and first tokens."""
    left, found = iter(range(num)), list[tuple[float, int, int]]()
    # A connection for each request: llama-server closes idle ones while they are used again.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as client:

        async def work() -> None:
            for index in left:
                found.append(await chat(client, index, num_new))

        begun = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        seconds = time.perf_counter() - begun
    firsts, written, read = zip(*found, strict=True)
    return {"tokens_per_s": sum(written) / seconds, "tokens": sum(written),
            "prompt_tokens": sum(read), "first_s": list(firsts)}  # fmt: skip


def pause() -> None:
    """Let the threads of the other server, which wait busily for a while, fall asleep."""
    time.sleep(2)


def check_prompts(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Raise SystemExit where the two sides have read different amounts of text."""
    ours, theirs = (sum(one["prompt_tokens"] for one in runs[name]) for name in sorted(runs))
    if abs(ours / theirs - 1) > 0.1:
        raise SystemExit(f"prompts have {ours} tokens here and {theirs} there: not the same chats")


def settings_of(given: argparse.Namespace, threads: int) -> dict[str, Any]:
    """What decides the numbers, with what the peer's program says that it is."""
    asked = [given.llama_server, "--version"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True)
    version = [line for line in (told.stdout + told.stderr).splitlines() if "version" in line]
    files = {"llama_server": " ".join(version), "gguf": Path(given.gguf).name}
    return vars(given) | files | {"threads": threads}


def main() -> None:
    """Both servers in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-server", required=True)
    parser.add_argument("--gguf", required=True, help="The Q4_1 file that both serve.")
    parser.add_argument("--chats", type=int, default=48)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--draft", default="plain")
    given = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    words = [given.gguf, "--precision", "int4", "--draft", given.draft]
    words += ["--parallel", str(given.concurrency)]
    ours = Server([*words, "--set", "context_tokens=1024", "--set", "name=served"])
    theirs = Theirs(given.llama_server, given.gguf, given.concurrency, threads)
    sides = {"burnish": ours, "llama-server": theirs}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    try:
        for turn in range(given.rounds + 1):  # the first round warms up
            for name, side in sorted(sides.items(), reverse=turn % 2 == 1):
                pause()
                asked = (side.url, given.chats, given.concurrency, given.new_tokens)
                found = asyncio.run(run(*asked))
                print(name, round(found["tokens_per_s"], 1), "tokens/s", flush=True)
                if turn:
                    runs[name].append(found)
        check_prompts(runs)
    finally:
        for side in sides.values():
            side.stop()
    rows: dict[str, Any] = {"settings": settings_of(given, threads)}
    for name, found in runs.items():
        rows[name] = {
            "tokens_per_s": median([one["tokens_per_s"] for one in found]),
            "tokens": [one["tokens"] for one in found],
            "prompt_tokens": [one["prompt_tokens"] for one in found],
            "first_token": percentiles([s for one in found for s in one["first_s"]]),
        }
    pairs = zip(runs["burnish"], runs["llama-server"], strict=True)
    rows["ratio"] = median([a["tokens_per_s"] / b["tokens_per_s"] for a, b in pairs])
    save("serve_throughput", rows, peers=[])


if __name__ == "__main__":
    main()
