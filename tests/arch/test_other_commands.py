"""Models with a solver or experts go through recall, prefer and drafting as others do."""

import json
from pathlib import Path
from typing import Any

import pytest

from burnish.arch.blocks import blocks
from burnish.arch.blocks.moe import MoEBlock
from burnish.arch.upcycle_experts import upcycle
from burnish.arch.upcycle_solver import upcycle_solver
from burnish.models.load import load_model
from burnish.models.save import save_model


@pytest.fixture
def folder(tiny_folder: Any, tmp_path: Path) -> Any:
    def make(spec: str) -> str:
        model = load_model(str(tiny_folder("llama")), precision="fp32", device="cpu")
        block: Any = blocks.parse(spec)
        made = (
            upcycle(model, block) if isinstance(block, MoEBlock) else upcycle_solver(model, block)
        )
        return str(save_model(made.model, tmp_path / "model"))

    return make


@pytest.mark.parametrize("spec", ["moe:experts=3,top_k=2", "pcformer:order=2,beta=0.5"])
def test_recall_prefer_and_drafts(spec: str, folder: Any, tmp_path: Path, burnish: Any) -> None:
    model = folder(spec)
    books = tmp_path / "books.txt"
    books.write_text("\n".join(" ".join(f"{i}{j}" for j in range(90)) for i in range(40)))
    words = ["--lengths", "20,30", "--set", f"corpus={books}", "--set", "cue_tokens=4"]
    words += ["--set", "least_tokens=20", "--set", "trials=2", "--precision", "fp32"]
    curve = burnish("recall", "curve", model, *words, "--run", str(tmp_path / "curve"), "--json")
    assert curve.status == 0, curve.err
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"say {i}", "chosen": f"a{i} b", "rejected": f"c{i}"} for i in range(12)]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    sets = ["train.examples_per_step=4", "evaluate.num_generated=2", "evaluate.max_new_tokens=3"]
    given = [word for one in sets for word in ("--set", one)]
    train = burnish(
        "prefer", "train", model, str(pairs), "--steps", "2", "--precision", "fp32", *given,
        "--out", str(tmp_path / "aligned"), "--json",
    )  # fmt: skip
    assert train.status in (0, 1), train.err
    assert (Path(train.json["model"]) / "model.safetensors").is_file()
    texts = []
    for draft in ("plain", "ngram"):
        told = burnish("generate", train.json["model"], "abc ab", "--max-new-tokens", "9",
                       "--greedy", "--precision", "fp32", "--draft", draft, "--json")  # fmt: skip
        assert told.status == 0, told.err
        texts.append(told.json["text"])
    assert texts[0] == texts[1]
