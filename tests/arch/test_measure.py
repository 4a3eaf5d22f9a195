"""Held-out documents: each target once, windows that overlap, resumption, xz."""

import math
import os
import shutil
import signal
import subprocess
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from burnish.arch import measure
from burnish.arch.measure import chunks_of, measure_documents, ratio, xz_bits
from burnish.data.shards import Marks
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed

MARKS = Marks(end=1)


def documents() -> list[dict[str, Any]]:
    rng = np.random.default_rng(4)
    return [{"tokens": rng.integers(3, 269, n).tolist()} for n in (0, 1, 6, 7, 8, 19, 20, 31)]


@pytest.mark.parametrize("context", [1, 2, 5, 8, 100])
def test_every_target_counts_once(context: int) -> None:
    found = list(chunks_of(documents(), MARKS, context=context))
    for number, document in enumerate(documents()):
        own = [one for one in found if one.document == number]
        counted = [t for one in own for t in one.targets[one.scored :]]
        assert counted == [*document["tokens"], 1]
        assert all(len(one.inputs) == len(one.targets) <= context for one in own)
        assert own[0].inputs[0] == 1 and own[0].scored == 0
        # a later chunk's targets are predicted from at least half a window
        assert all(one.scored >= context // 2 for one in own[1:])


def check_measured(tiny_model: Any, path: Path) -> None:
    network = tiny_model("llama").network
    found = measure_documents(network, documents(), MARKS, context=100, path=path)
    for document, nats in zip(documents(), found, strict=True):
        tokens = torch.tensor([1, *document["tokens"]])
        attend = SharedAttend(packed([len(tokens)]), Rope(network.config), network.shape.windows)
        with torch.no_grad():
            logits = network.head(network.hidden(tokens, attend)).log_softmax(-1)
        wanted = [*document["tokens"], 1]
        exact = -float(logits[range(len(wanted)), wanted].sum())
        assert nats == pytest.approx(exact, rel=1e-5)


def test_documents_by_hand(tiny_model: Any, tmp_path: Path) -> None:
    check_measured(tiny_model, tmp_path / "passes.jsonl")


def test_planted_end_that_is_not_counted(tiny_model: Any, tmp_path: Path, monkeypatch: Any) -> None:
    exact = measure.measure_chunks

    def shorter(network: Any, chunks: Any) -> list[float]:
        late = [measure.Chunk(**{**vars(c), "scored": c.scored + 1}) for c in chunks]
        return exact(network, late)

    monkeypatch.setattr(measure, "measure_chunks", shorter)
    with pytest.raises(AssertionError):
        check_measured(tiny_model, tmp_path / "passes.jsonl")


def test_killed_and_resumed_equals_straight(
    tiny_model: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(measure, "PASS_ROWS", 24)
    network, exact, calls = tiny_model("llama").network, measure.measure_chunks, []

    def run(path: Path) -> list[float]:
        return measure_documents(network, documents(), MARKS, context=8, path=path)

    def killed() -> None:
        def count(network: Any, chunks: Any) -> Any:
            calls.append(1)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return exact(network, chunks)

        measure.measure_chunks = count
        run(tmp_path / "killed.jsonl")

    straight = run(tmp_path / "straight.jsonl")
    process = get_context("fork").Process(target=killed)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert len((tmp_path / "killed.jsonl").read_text().splitlines()) == 3
    assert run(tmp_path / "killed.jsonl") == straight


def test_ratio() -> None:
    above, below = [3.0, 5.0, 40.0, 1.0], [1.0, 2.0, 10.0, 1.0]
    found = ratio(above, below, seed=0)
    assert found.value == pytest.approx(49 / 14)
    assert found.low < 49 / 14 < found.high and found.n == 4
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 50, 1300).astype(float)
    noisy = ratio(list(sizes * rng.normal(2, 0.3, 1300)), list(sizes), seed=0)
    assert noisy.low < 2 < noisy.high and noisy.high - noisy.low < 0.06
    assert noisy.n == 1300
    assert measure.bits(math.log(2)) == 1.0


@pytest.mark.skipif(shutil.which("xz") is None, reason="the program xz is not installed")
def test_xz_equals_the_program() -> None:
    texts = ["the same words again and again " * 9, "naïve é " * 50]
    told = xz_bits(texts)
    data = [text.encode() for text in texts]

    def program(one: bytes) -> int:
        run = subprocess.run(["xz", "-9", "-c"], input=one, capture_output=True, check=True)
        return len(run.stdout)

    num_bytes = sum(map(len, data))
    assert told["xz_bits_per_byte"] == 8 * sum(map(program, data)) / num_bytes
    assert told["xz_stream_bits_per_byte"] == 8 * program(b"".join(data)) / num_bytes
