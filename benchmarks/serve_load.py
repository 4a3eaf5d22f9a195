"""Claim: a thousand requests at once with clients that leave and malformed ones break nothing.

One server process (`burnish serve`), `--concurrency` clients in this one. Each request is greedy
and continues one of a few prompts, so that its text is known: that of `generate`. A share of the
clients leaves after a few tokens, a share sends what is no request. Counted are wrong texts and
statuses; measured are first token and each next one (median, 95th percentile) and the server's
memory after warm-up and at the end.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from recording import save

from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
from burnish.models.load import load_model

QUESTIONS = [
    "Why is the sky blue?", "Name three rivers in Europe.", "Write a poem about a lighthouse.",
    "What is 17 + 25? Explain.", "List three fruits.", "Say hello in French, German and Greek.",
    "Who wrote Hamlet?", "Count from one to twenty.",
]  # fmt: skip
MALFORMED = [b"{", b"[]", b'{"model": "MODEL"}', b'{"model": "MODEL", "prompt": ""}',
             b'{"model": "MODEL", "prompt": "x", "max_tokens": -1}', b"\xff"]  # fmt: skip


class Server:
    """`burnish serve` in a process of its own."""

    def __init__(self, words: list[str]) -> None:
        command = [sys.executable, "-m", "burnish.cli.main", "serve", *words, "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "listening on " in line:
                self.url = line.strip().rpartition(" ")[2]
                return
        raise SystemExit("the server did not start")

    def memory_bytes(self) -> int:
        """Resident memory, without pages that are shared with files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return int(rows["RssAnon"].split()[0]) * 1024

    def stop(self) -> int:
        """End it; its exit status."""
        self.process.terminate()
        return self.process.wait(60)


class Load:
    """What clients do, and what they saw."""

    def __init__(self, model: str, url: str, texts: dict[str, str], num_new: int) -> None:
        self.model, self.url, self.texts, self.num_new = model, url, texts, num_new
        self.seen: Counter[str] = Counter()
        self.first_s: list[float] = []
        self.next_s: list[float] = []

    async def one(self, client: httpx.AsyncClient, source: random.Random) -> None:
        """One request of some kind."""
        kind = source.choices(("whole", "stream", "leave", "malformed"), (2, 5, 2, 1))[0]
        prompt = source.choice(list(self.texts))
        body = {"model": self.model, "prompt": prompt, "max_tokens": self.num_new,
                "temperature": 0, "stream": kind != "whole"}  # fmt: skip
        if kind == "malformed":
            content = source.choice(MALFORMED).replace(b"MODEL", self.model.encode())
            reply = await client.post("/v1/completions", content=content)
            self.seen["malformed" if reply.status_code == 400 else "wrong status"] += 1
        elif kind == "whole":
            reply = await client.post("/v1/completions", json=body)
            self.judge(prompt, reply.json()["choices"][0]["text"], kind)
        else:
            await self.stream(client, body, source.randrange(1, 9) if kind == "leave" else None)

    async def stream(self, client: httpx.AsyncClient, body: Any, leave_after: int | None) -> None:
        """Read a stream, whole or its first pieces."""
        begun = last = time.perf_counter()
        text, num = "", 0
        async with client.stream("POST", "/v1/completions", json=body) as reply:
            async for line in reply.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                now = time.perf_counter()
                (self.next_s if num else self.first_s).append(now - last if num else now - begun)
                last, num = now, num + 1
                text += json.loads(line[6:])["choices"][0]["text"]
                if num == leave_after:
                    self.seen["left"] += 1
                    return
        self.judge(body["prompt"], text, "stream")

    def judge(self, prompt: str, text: str, kind: str) -> None:
        """Right or wrong."""
        self.seen[kind if text == self.texts[prompt] else "wrong text"] += 1

    async def run(self, num: int, concurrency: int, seed: int) -> None:
        """So many requests, so many at once."""
        source, left = random.Random(seed), iter(range(num))
        limits = httpx.Limits(max_connections=concurrency)
        async with httpx.AsyncClient(base_url=self.url, timeout=600, limits=limits) as client:

            async def work() -> None:
                for _ in left:
                    await self.one(client, source)

            await asyncio.gather(*(work() for _ in range(concurrency)))


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile [s]."""
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"p50_s": round(float(p50), 5), "p95_s": round(float(p95), 5), "n": len(seconds)}


def main() -> None:
    """Run the load, and save what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--draft", default="plain")
    given = parser.parse_args()
    model = load_model(given.model, precision=given.precision, prepared=True)
    sampling = Sampling(max_new_tokens=given.new_tokens)
    requests = [
        Request(id=text, prompt=tuple(model.tokenizer(text)["input_ids"]), sampling=sampling)
        for text in QUESTIONS
    ]
    texts = {done.id: done.text for done in generate(model, requests)}
    words = [given.model, "--precision", given.precision, "--draft", given.draft,
             "--parallel", str(given.concurrency), "--set", "name=served"]  # fmt: skip
    server = Server(words)
    try:
        warm = Load("served", server.url, texts, given.new_tokens)
        asyncio.run(warm.run(max(given.requests // 5, 1), given.concurrency, seed=1))
        before = server.memory_bytes()
        load = Load("served", server.url, texts, given.new_tokens)
        begun = time.perf_counter()
        asyncio.run(load.run(given.requests, given.concurrency, seed=2))
        seconds, after = time.perf_counter() - begun, server.memory_bytes()
    finally:
        status = server.stop()
    rows = {
        "settings": vars(given),
        "seen": dict(load.seen),
        "wrong": load.seen["wrong text"] + load.seen["wrong status"],
        "exit_status": status,
        "first_token": percentiles(load.first_s),
        "next_token": percentiles(load.next_s),
        "requests_per_s": round(given.requests / seconds, 3),
        "memory_after_warm_up_bytes": before,
        "memory_at_the_end_bytes": after,
        "memory_growth_frac": round(after / before - 1, 4),
    }
    print(json.dumps(rows, indent=2))
    save("serve_load", rows)


if __name__ == "__main__":
    main()
