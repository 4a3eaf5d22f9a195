"""Texts and settings that people bring: every row of ../shared/cases with part `pretrain`."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.cases import Cases
from fixtures.pretraining import make_corpus, tiny_settings
from fixtures.tiny import packed_logits, texts
from safetensors.torch import load_file, save_file
from torch import Tensor

from burnish.arch import objective, training
from burnish.arch.blocks import blocks
from burnish.arch.blocks.pcformer import PCformerBlock
from burnish.arch.network import new_network, save_network
from burnish.arch.plan import Shape
from burnish.arch.pretrain_job import pretrain, pretrain_job
from burnish.arch.samples import sample_text
from burnish.arch.tokenizer import encoder, learn_tokenizer, marks_of
from burnish.arch.training import ShardedCorpus
from burnish.arch.upcycle_solver import upcycle_solver
from burnish.base.errors import InputError, ModelError, SettingError
from burnish.base.files import read_json
from burnish.data.mixtures import Reading, Skipped, Text, parse_mixture, read_mixture
from burnish.data.shards import Build, Marks, TokenStream, build_shards, read_heldout
from burnish.data.windows import Window, WindowCursor
from burnish.engine.session import DecoderSession
from burnish.jobs.job import Place, run_job
from burnish.jobs.step import Step
from burnish.models import decoder as decoder_module
from burnish.models.config import ExpertsConfig, decoder_config
from burnish.models.count import count
from burnish.models.decoder import Decoder
from burnish.models.describe import describe
from burnish.models.gguf import _unpermute
from burnish.models.load import load_model, read_tokenizer
from burnish.models.moe import MoE, Router
from burnish.models.save import save_model
from burnish.train.routing import Routing, balance_loss
from burnish.train.routing_settings import RoutingSettings
from burnish.train.trainer import Trainer

cases = Cases("to-build.jsonl", part="pretrain")
CPU = torch.device("cpu")
QUICK: dict[str, Any] = {"sample_tokens": 0, "num_evaluations": 1, "save_every_steps": 50}


def test_every_row_has_a_test() -> None:
    cases.check_names()


def shards_of(folder: Path, corpus: Path, **settings: Any) -> tuple[Path, dict[str, Any]]:
    """The folder of a corpus's shards, built by the run's own first steps, and its manifest."""
    job = pretrain_job(tiny_settings(corpus, **{"vocab": 257, **settings}))
    first = [part for part in job.parts if isinstance(part, Step)][:3]
    run_job(type(job)(**{**vars(job), "parts": first}), Place(folder=folder))
    place = folder / "stages" / "shards" / "shards"
    return place, read_json(place / "manifest.json")


def corpus_of(folder: Path, manifest: dict[str, Any]) -> ShardedCorpus:
    return ShardedCorpus(folder=folder, manifest=manifest, tokenizer=None, weights=None)


def characters(some: Any) -> list[list[int]]:
    return [[3 + ord(c) % 90 for c in text] for text in some]


def built(folder: Path, lengths: list[int], **changes: Any) -> tuple[ShardedCorpus, list[int]]:
    """Shards of documents of so many tokens each, end included, and all their tokens."""
    folder.mkdir()
    found = [Text(part=0, file="a", text=chr(97 + i) * (n - 1)) for i, n in enumerate(lengths)]
    build = Build(encode=characters, marks=Marks(end=1), heldout=frozenset(), seed=0,
                  **{"vocab_size": 101, **changes})  # fmt: skip
    manifest = build_shards(folder, iter(found), build)
    stream = TokenStream(folder, manifest["parts"][0], manifest["dtype"])
    return corpus_of(folder, manifest), stream.read(0, len(stream)).tolist()


def epoch(corpus: ShardedCorpus, context: int) -> list[Window]:
    cursor = corpus.cursor(context, seed=1)
    return [cursor.take() for _ in range(sum(cursor.num_windows))]


def small_network(**shape: Any) -> Decoder:
    torch.manual_seed(3)
    shape = {"num_layers": 2, "width": 16, "ffn_width": 20, "num_heads": 2, "num_kv_heads": 1,
             "vocab": 100, **shape}  # fmt: skip
    return new_network(Shape(**shape), context=32, marks=Marks(end=1), device=CPU)


class Nothing:
    def save_pretrained(self, folder: Path) -> None: ...


@cases.case("document longer than the context, empty documents, CRLF")
def test_empty_documents_and_a_long_one(row: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(row["input"].encode())
    for seed in range(9):  # the seed says which one of the three trains
        run = tmp_path / str(seed)
        folder, manifest = shards_of(run, path, seed=seed, heldout_frac=0.01)
        if manifest["num_tokens"] > 30:
            break
    told = read_json(run / "result.json")["corpus"]
    assert (told["num_documents"], told["num_line_ends"]) == (3, row["input"].count("\r\n"))
    assert {d["text"] for d in read_heldout(folder, manifest)} == {"first", "last"}
    stream = TokenStream(folder, manifest["parts"][0], "uint16")
    tokens, end = stream.read(0, len(stream)).tolist(), manifest["marks"]["end"]
    assert len(tokens) > 4 * 16 and tokens.count(end) == 1 and tokens[-1] == end
    cursor = corpus_of(folder, manifest).cursor(16, seed=0)
    windows = [cursor.window(0, number) for number in range(cursor.num_windows[0])]
    continued = [t for one in windows for t in one.tokens[1 : 1 + one.num_terms].tolist()]
    assert continued == tokens[1:]
    assert sum(t == end for t in continued) == 1


@cases.case("held-out text also stands in the training part (duplicates)")
def test_one_paragraph_fifty_times(row: Any, tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(["the same paragraph"] * 50))
    with pytest.raises(InputError, match="50 documents, 1 distinct"):
        shards_of(tmp_path / "one", path)
    path.write_text("\n\n".join(["the same paragraph"] * 50 + [f"other {i}" for i in range(9)]))
    for seed in range(2):
        folder, manifest = shards_of(tmp_path / str(seed), path, seed=seed)
        held = {d["text"] for d in read_heldout(folder, manifest)}
        stream = TokenStream(folder, manifest["parts"][0], "uint16")
        trained = read_tokenizer(tmp_path / str(seed) / "stages" / "tokenizer" / "tokenizer")
        text = trained.decode(stream.read(0, len(stream)).tolist())
        assert text.count("the same paragraph") == (0 if "the same paragraph" in held else 50)
    assert "49 duplicates, each on the side of its first" in capfd.readouterr().err


@cases.case("vocabulary of 32,000 asked for on 20 kB of text")
def test_a_large_vocabulary(row: Any, tmp_path: Path) -> None:
    path = make_corpus(tmp_path, 300)
    assert 17_000 < path.stat().st_size < 24_000, path.stat().st_size
    with pytest.raises(SettingError) as refused:
        shards_of(tmp_path / "run", path, vocab=int(row["input"].split()[1]))
    supported = int(str(refused.value).split("support ")[1].split(",")[0])
    assert f"--set vocab={supported}" in str(refused.value)
    assert shards_of(tmp_path / "other", path, vocab=supported)[1]["vocab_size"] == supported


@cases.case("resume in the middle of an epoch with another batch size")
def test_another_batch_size(row: Any, interrupted: Any) -> None:
    settings, folder = interrupted
    other = replace(settings, batch_tokens=2 * settings.batch_tokens)
    with pytest.raises(SettingError, match=r"other settings.*--from RUN") as refused:
        pretrain(other, folder=folder)
    assert len(str(refused.value)) < 400


def stopped(settings: Any, folder: Path, after: int, monkeypatch: Any) -> None:
    """A run that Ctrl-C ends after so many updates."""
    exact, calls = Trainer.update, []

    def update(self: Any, *given: Any) -> float:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(1)
        return exact(self, *given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "update", update)
        pretrain(settings, folder=folder)
    assert len(calls) == after and not (folder / "result.json").exists()


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: Any) -> Any:
    """Settings and folder of a run of twelve steps that ended after its seventh."""
    folder = tmp_path_factory.mktemp("interrupted")
    settings = tiny_settings(make_corpus(folder), **{**QUICK, "save_every_steps": 7})
    with pytest.MonkeyPatch.context() as patch:
        stopped(settings, folder / "run", 7, patch)
    return settings, folder / "run"


def experts_config(num_experts: int, top_k: int, width: int = 7) -> ExpertsConfig:
    return ExpertsConfig(
        num_experts=num_experts, top_k=top_k, d_expert=width, normalised=True, layers=(0,)
    )


@cases.case("8 experts, 4 tokens in a step")
def test_few_tokens_for_many_experts(row: Any) -> None:
    network = small_network(block="moe:experts=8,top_k=1", ffn_width=64)
    routing = Routing(network, RoutingSettings())
    loss = routing.objective(objective.NextToken(network, first=1, across=False))
    window = Window(tokens=np.array([1, 5, 9, 7, 3]), num_terms=4)
    found = loss(network, [window])
    found.backward()
    loads = routing.numbers()["expert_load_frac"]
    assert math.isfinite(float(found.detach()))
    for layer, load in zip(network.model.layers, loads, strict=True):
        experts = layer.mlp.experts
        assert load.count(0) >= 4
        for number, part in enumerate(load):
            for weight in (experts.gate_up_proj, experts.down_proj):
                gradient = weight.grad[number]
                assert bool(gradient.isfinite().all()) and bool(gradient.any()) == (part > 0)


@cases.case("document longer than the context")
def test_a_document_longer_than_the_context(row: Any, interrupted: Any, tmp_path: Path) -> None:
    """One padded window; the plan tells its places without text."""
    given = row["input"]
    lengths = [n + given["eos_per_doc"] for n in given["doc_token_lengths"]]
    corpus, tokens = built(tmp_path / "shards", lengths)
    windows = epoch(corpus, given["context"])
    assert len(tokens) == 31 and [w.num_terms for w in windows].count(8) == 3
    assert sum(w.num_terms for w in windows) == 30 and min(w.num_terms for w in windows) == 6
    third = characters(["c"])[0][0]
    assert sum((w.tokens[1 : 1 + w.num_terms] == third).sum() for w in windows) == 3
    assert corpus.windows(8) == (4, 2)
    stages = interrupted[1] / "stages"
    told = read_json(stages / "plan" / "done.json")["output"]["plan"]
    folder = stages / "shards" / "shards"
    num = read_json(folder / "manifest.json")["num_tokens"]
    assert told["values"]["num_windows"] == math.ceil((num - 1) / 16)
    says = f"an epoch; the last ones have {-(num - 1) % 16} places without text"
    assert told["sources"]["num_windows"] == says


def run_of(folder: Path, corpus: Path, **settings: Any) -> dict[str, Any]:
    return pretrain(tiny_settings(corpus, **{"steps": 2, **QUICK, **settings}), folder=folder / "r")


@cases.case("tokenizer that adds bos by itself")
def test_a_tokenizer_that_adds_bos(row: Any, tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    learn_tokenizer(["a b"], tmp_path / "own", vocab=257, exact=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "own")
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    begin = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", begin)]
    )
    assert tokenizer("x")["input_ids"][0] == begin
    build = Build(encode=encoder(tokenizer), marks=marks_of(tokenizer), vocab_size=len(tokenizer),
                  heldout=frozenset(), seed=0)  # fmt: skip
    documents = [Text(part=0, file="a", text=text) for text in row["input"]["docs"]]
    (tmp_path / "shards").mkdir()
    manifest = build_shards(tmp_path / "shards", iter(documents), build)
    stream = TokenStream(tmp_path / "shards", manifest["parts"][0], manifest["dtype"])
    tokens = stream.read(0, len(stream)).tolist()
    assert [t in (begin, tokenizer.eos_token_id) for t in tokens] == [1, 0, 1, 1, 0, 1]
    assert tokens.count(begin) == 2
    assert (manifest["num_begins"], manifest["num_ends"]) == (2, 2)


@cases.case("windows need context+1 tokens")
def test_no_token_between_windows(row: Any, tmp_path: Path) -> None:
    corpus, tokens = built(tmp_path / "shards", [20, 13])
    assert len(tokens) == row["input"]["tokens"]
    cursor = corpus.cursor(row["input"]["context"], seed=1)
    assert cursor.num_windows == [4]
    windows = [cursor.window(0, number) for number in range(4)]
    assert [t for w in windows for t in w.tokens[1:].tolist()] == tokens[1:]
    assert all(w.num_terms == 8 for w in windows)


@cases.case("CRLF text")
def test_line_ends(row: Any, tmp_path: Path, capfd: Any) -> None:
    """Read as LF, and said so: the same tokens as on a system that writes LF."""
    given = bytes.fromhex(row["input"]["bytes_hex"])
    made = {}
    for name, content in (("crlf", given), ("lf", given.replace(b"\r", b""))):
        path = tmp_path / name / "a.txt"
        path.parent.mkdir()
        path.write_bytes(content)
        skipped = Skipped()
        found = [t.text for t in read_mixture(parse_mixture(str(path)), Reading(), skipped)]
        assert found == ["a\nb", "c"] and skipped.num_line_ends == (4 if name == "crlf" else 0)
        path.write_bytes(content + content.replace(b"a", b"d") + content.replace(b"c", b"e") * 2)
        _, manifest = shards_of(tmp_path / name / "run", path)
        vocabulary = tmp_path / name / "run" / "stages" / "tokenizer" / "tokenizer"
        made[name] = manifest, (vocabulary / "tokenizer.json").read_bytes()
    assert made["crlf"] == made["lf"]
    assert "line ends CRLF read as LF" in capfd.readouterr().err


@cases.case("binary file among the text")
def test_a_binary_file(row: Any, tmp_path: Path, burnish: Any) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n\nthree")
    given = bytes.fromhex(row["input"]["bytes_hex"])
    for content, says in ((given, "byte 1"), (given.replace(b"\0", b"0"), "byte 3")):
        (tmp_path / "b.txt").write_bytes(content)
        done = burnish("arch", "pretrain", "--corpus", tmp_path, "--out", tmp_path / "run")
        assert done.status == 2 and "b.txt" in done.err and says in done.err, done.err
        *before, last = done.err.splitlines()
        assert last.startswith("error: ") and len(before) <= 1, done.err  # the run's folder
        assert not list((tmp_path / "run").rglob("*.bin"))
    shards_of(tmp_path / "other", tmp_path, skip_bad_files=True)
    told = read_json(tmp_path / "other" / "result.json")["corpus"]
    assert list(told["skipped_files"]) == ["b.txt"] and "byte 3" in told["skipped_files"]["b.txt"]


@cases.case("corpus smaller than the context")
def test_a_corpus_smaller_than_the_context(row: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * (row["input"]["tokens"] - 1) + "\n\ny\n\nz")
    with pytest.raises(InputError, match=r"of 64 tokens.*'30 training tokens'.*context=16"):
        run_of(tmp_path, tmp_path / "a.txt", vocab=257, context=row["input"]["context"])
    assert not list((tmp_path / "r").rglob("*.safetensors"))


@cases.case("validation part smaller than one window")
def test_a_small_held_out_part(row: Any, tmp_path: Path, capfd: Any) -> None:
    """Enlarged with a message, or refused; its loss is never that of nothing."""
    given = row["input"]
    paragraphs = [f"{i:04} " + "word " * 3 for i in range(given["tokens"] // 21)]
    (tmp_path / "a.txt").write_text("\n\n".join(paragraphs))
    settings = {"vocab": 257, "heldout_frac": given["val_fraction"], "context": given["context"]}
    found = run_of(tmp_path, tmp_path / "a.txt", **settings)
    assert "not heldout_frac=0.01" in capfd.readouterr().err
    assert found["corpus"]["num_heldout_tokens"] > given["context"]
    assert 0 < found["validation"]["low"] <= found["validation"]["value"] < 7
    (tmp_path / "a.txt").write_text("x" * 200 + "\n\ny\n\nz")
    with pytest.raises(InputError, match=r"of 64 tokens and one token more, got '4 tokens'"):
        pretrain(tiny_settings(tmp_path / "a.txt", **settings), folder=tmp_path / "other")


@cases.case("shard integer width")
def test_width_of_ids(row: Any, tmp_path: Path) -> None:
    for vocab, width in zip(row["input"]["vocab_sizes"], ("uint16", "uint32"), strict=True):
        ids = [vocab - 1, 2, vocab - 1]
        build = Build(encode=lambda some, ids=ids: [ids for _ in some], marks=Marks(end=1),
                      vocab_size=vocab, heldout=frozenset(), seed=0)  # fmt: skip
        folder = tmp_path / width
        folder.mkdir()
        manifest = build_shards(folder, iter([Text(part=0, file="a", text="x")]), build)
        assert manifest["dtype"] == width
        stream = TokenStream(folder, manifest["parts"][0], manifest["dtype"])
        assert stream.read(0, 9).tolist() == [*ids, 1]


@cases.case("eval on train")
def test_duplicates_are_on_one_side(row: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(row["input"]["docs"]))
    held = set()
    for name, seed in (("0", 0), ("again", 0), ("3", 3), ("4", 4)):
        run = tmp_path / name
        settings = {"seed": seed, "heldout_frac": row["input"]["val_fraction"]}
        folder, manifest = shards_of(run, path, **settings)
        out = {d["text"] for d in read_heldout(folder, manifest)}
        assert name != "again" or frozenset(out) in held
        tokenizer = read_tokenizer(run / "stages" / "tokenizer" / "tokenizer")
        stream = TokenStream(folder, manifest["parts"][0], manifest["dtype"])
        trained = tokenizer.decode(stream.read(0, len(stream)).tolist())
        assert out and all(text not in trained for text in out)
        assert all(text in trained for text in set(row["input"]["docs"]) - out)
        counts = manifest["files"]["a.txt"]
        assert counts["num_train_documents"] + counts["num_heldout_documents"] == 4
        held.add(frozenset(out))
    assert len(held) > 1  # it is the seed's choice


@cases.case("resume exactly on the epoch border")
def test_resumed_on_the_border_of_an_epoch(row: Any, tmp_path: Path, monkeypatch: Any) -> None:
    given, path = row["input"], make_corpus(tmp_path)
    _, manifest = shards_of(tmp_path / "shards", path, vocab=281)
    context = -(-(manifest["num_tokens"] - 1) // given["batches_per_epoch"])
    settings = tiny_settings(path, steps=given["total"], batch_tokens=context, context=context,
                             **{**QUICK, "save_every_steps": given["stop_after"]})  # fmt: skip
    taken: list[list[int]] = []
    exact = WindowCursor.window

    def noted(self: Any, part: int, number: int) -> Window:
        taken[-1].append(number)
        return exact(self, part, number)

    monkeypatch.setattr(WindowCursor, "window", noted)
    for name in ("straight", "stopped", "stopped"):
        taken.append([])
        if len(taken) == 2:
            stopped(settings, tmp_path / name, given["stop_after"], monkeypatch)
        else:
            assert pretrain(settings, folder=tmp_path / name)["num_steps"] == given["total"]
    straight, _, resumed = taken
    assert straight[10:] == resumed and len(resumed) == 15
    assert sorted(straight[:10]) == sorted(straight[10:20]) == list(range(10))
    assert straight[:10] != straight[10:20]


@cases.case("resume restores more than weights")
def test_resumed_bit_for_bit(row: Any, interrupted: Any, tmp_path: Path) -> None:
    """Changed texts or shards are another run, or are built again: never trained on with."""
    (settings, folder), path = interrupted, Path(interrupted[0].corpus)
    text = path.read_text()
    path.write_text(text + "\n\nmore")
    with pytest.raises(SettingError, match=r"has begun with other texts.*name another folder"):
        pretrain(settings, folder=folder)
    path.write_text(text)
    for place in (tmp_path / "straight", folder):
        pretrain(settings, folder=place)
    stages = [place / "stages" / "train" for place in (tmp_path / "straight", folder)]
    steps = [training.told_steps(stage) for stage in stages]
    names = ("step", "loss", "learning_rate", "grad_norm")
    assert [[s[n] for n in names] for s in steps[0]] == [[s[n] for n in names] for s in steps[1]]
    saved = [torch.load(stage / training.CHECKPOINT) for stage in stages]
    for name in ("parameters", "optimizer", "torch_random"):
        torch.testing.assert_close(saved[0][name], saved[1][name], atol=0, rtol=0)


@cases.case("untied model has its head in the file")
def test_an_untied_head(row: Any, tmp_path: Path) -> None:
    from gguf import MODEL_ARCH, get_tensor_name_map

    given = row["input"]
    network = small_network(tied=given["tie"], vocab=given["vocab"], width=given["hidden"])
    save_network(network, Nothing(), tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    names = ("lm_head.weight", "model.embed_tokens.weight")
    assert [weights[name].numel() for name in names] == [1600, 1600]
    known = get_tensor_name_map(MODEL_ARCH.LLAMA, 2)
    suffixes = {"try_suffixes": (".weight",)}
    assert known.get_name("lm_head.weight", **suffixes) == "output.weight"
    assert all(known.get_name(name, **suffixes) for name in weights)
    assert read_json(tmp_path / "model" / "config.json")["tie_word_embeddings"] is False


@cases.case("vocabulary not a multiple of 64")
def test_a_vocabulary_of_257(row: Any, tmp_path: Path) -> None:
    """Nothing is padded: 257 rows in training and in the folder."""
    vocab = row["input"]["tokenizer_vocab"]
    learn_tokenizer(["a b"], tmp_path / "own", vocab=vocab, exact=True)
    tokenizer = read_tokenizer(tmp_path / "own")
    network = small_network(vocab=len(tokenizer))
    save_network(network, tokenizer, tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    config = read_json(tmp_path / "model" / "config.json")
    assert len(weights["model.embed_tokens.weight"]) == config["vocab_size"] == vocab
    network.lm_head.weight.data.zero_()
    loss = objective.NextToken(network, first=1, across=False)
    window = Window(tokens=np.array([1, 256, 9, 7]), num_terms=3)
    assert float(loss(network, [window]).detach()) / 3 == pytest.approx(math.log(vocab), abs=1e-6)
    sampled = sample_text(network, tokenizer, first=0, end=0, num_tokens=20, seed=1)
    assert isinstance(sampled, str)  # every id that is sampled is a token


@cases.case("saved config missing head_dim")
def test_a_config_without_head_dim(row: Any, tmp_path: Path) -> None:
    for block in ("dense", "moe:experts=2,top_k=1", "moe:experts=2,shared=8", "pcformer:order=2"):
        folder = tmp_path / block.partition(":")[0] / str(len(block))
        save_network(small_network(block=block, width=32), Nothing(), folder)
        config = read_json(folder / "config.json")
        assert config["head_dim"] * 2 == 32, block
    network = small_network(width=64, num_heads=4, num_kv_heads=4)
    folder = tmp_path / "wrong"
    save_network(network, Nothing(), folder)
    weights = load_file(folder / "model.safetensors")
    wide = torch.zeros(row["input"]["q_proj_shape"])
    weights |= {n: wide.clone() for n in weights if n.endswith("q_proj.weight")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = read_json(folder / "config.json") | row["input"]["config"]
    del config["head_dim"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"q_proj.*128.*64"):
        load_model(str(folder), precision="fp32", device="cpu")


@cases.case("rotary layout of the export")
def test_rotary_layout(row: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Halves are what the decoder trains; llama.cpp's pairs are put back by head."""
    found = _unpermute(np.arange(2 * row["input"]["head_dim"]), 2)
    assert found.tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    network = small_network(width=8, num_heads=2, num_kv_heads=2)
    for layer in network.model.layers:  # large enough to matter
        layer.self_attn.q_proj.weight.data.mul_(50)
        layer.self_attn.k_proj.weight.data.mul_(50)
    assert save_network(network, Nothing(), tmp_path / "model") <= 1e-5


@cases.case("padding does not count in the balance")
def test_filling_does_not_count(row: Any) -> None:
    network = small_network(block="moe:experts=3,top_k=1", ffn_width=48)
    loss = objective.NextToken(network, first=1, across=True)
    routing = Routing(network, RoutingSettings(balance_loss=1.0))
    real = np.array([1, 5, 9, 7, 3])
    filled = np.concatenate([real, np.full(row["input"]["pad_tokens"], 1)])
    told = []
    for tokens in (real, filled):
        window = Window(tokens=tokens, num_terms=row["input"]["real_tokens"])
        found = float(routing.objective(loss)(network, [window]).detach())
        told.append((found, routing.numbers()["expert_load_frac"]))
    assert told[0][0] == pytest.approx(told[1][0], rel=1e-6) and told[0][1] == told[1][1]


@cases.case("balancing silently off")
def test_balance_is_not_silently_off(row: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    network = small_network(block="moe:experts=4,top_k=2", ffn_width=64)
    for name in ("router_aux_loss_coef", "output_router_logits"):
        setattr(network.config, name, row["input"][name])
    settings = tiny_settings("x", routing=RoutingSettings(balance_loss=0.02, z_loss=0.0))
    routing = training.make_routing(settings, network)
    assert routing is not None

    def nothing(network: Any, items: Any, /, *, weight: float = 1.0) -> Tensor:
        return 0 * weight * objective.NextToken(network, first=1, across=False)(network, items)

    window = Window(tokens=np.array([1, 5, 9, 7, 3]), num_terms=4)
    routing.objective(nothing)(network, [window]).backward()
    assert routing.numbers()["balance_loss"] > 0.9
    assert all(bool(layer.mlp.gate.weight.grad.any()) for layer in network.model.layers)
    save_network(network, Nothing(), tmp_path / "model")
    config = read_json(tmp_path / "model" / "config.json")
    assert config["output_router_logits"] is True
    assert config["router_aux_loss_coef"] == pytest.approx(0.01)  # times two experts a token
    other = AutoModelForCausalLM.from_pretrained(tmp_path / "model").train()
    tokens = torch.tensor([[1, 5, 9, 7, 3]])
    found = other(tokens, labels=tokens)
    plain = other(tokens, labels=tokens, output_router_logits=False).loss
    added = float((found.loss - plain).detach())
    assert added == pytest.approx(0.01 * float(found.aux_loss.detach()), rel=1e-3) and added > 0.01


@cases.case("one expert equals dense")
def test_one_expert_is_the_dense_feed_forward(row: Any) -> None:
    """A layer of one expert and the same dense layer, trained side by side."""
    config = experts_config(row["input"]["experts"], row["input"]["top_k"])
    torch.manual_seed(1)
    layer = MoE(5, config, None)
    rows, target = torch.randn(6, 5), torch.randn(6, 5)
    dense = [layer.experts.gate_up_proj[0].detach().clone().requires_grad_(True),
             layer.experts.down_proj[0].detach().clone().requires_grad_(True)]  # fmt: skip
    routing = Routing(layer, RoutingSettings())
    wrapped = routing.objective(lambda net, items, /, *, weight=1.0: (
        (net(rows) - target).square().sum()))  # fmt: skip
    one = torch.optim.SGD(layer.parameters(), lr=0.05)
    other = torch.optim.SGD(dense, lr=0.05)
    window = Window(tokens=np.zeros(7), num_terms=1)
    gate_before = layer.gate.weight.detach().clone()
    for _ in range(row["input"]["steps"]):
        gate, up = (rows @ dense[0].T).chunk(2, -1)
        wanted = (torch.nn.functional.silu(gate) * up) @ dense[1].T
        torch.testing.assert_close(layer(rows), wanted, atol=1e-6, rtol=1e-6)
        loss, plain = wrapped(layer, [window]), (wanted - target).square().sum()
        z_loss = RoutingSettings().z_loss * layer.gate(rows).logsumexp(-1).square().mean()
        constant = RoutingSettings().balance_loss  # of one expert: load 1, probability 1
        assert float((loss - plain - z_loss).detach()) == pytest.approx(constant, abs=1e-5)
        for optimizer, value in ((one, loss), (other, plain)):
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    logits = layer.gate(rows)
    own = torch.autograd.grad(balance_loss(logits, layer.gate.choose(logits)[1]), logits)[0]
    assert not own.any() and layer.gate.choose(logits)[0].eq(1).all()
    assert not torch.equal(gate_before, layer.gate.weight)  # by the z-loss alone


@cases.case("router in low precision")
def test_router_in_low_precision(row: Any) -> None:
    low, high = row["input"]["router_logits"]
    router = Router(2, experts_config(2, 1))
    router.weight.data = torch.tensor([[low, 0.0], [low, high - low]])
    rows = torch.ones(3, 2)
    rounded = torch.tensor([low, high]).bfloat16()
    assert rounded[0] == rounded[1]
    with torch.autocast("cpu", torch.bfloat16):
        logits = router(rows)
        assert logits.dtype == torch.float32
        weights, chosen = router.choose(logits)
        assert chosen.flatten().tolist() == [1, 1, 1] and weights.dtype == torch.float32
        assert balance_loss(logits, chosen).dtype == torch.float32
    with torch.no_grad():
        found = router.to(torch.bfloat16)(rows.bfloat16())
    assert router.choose(found)[1].flatten().tolist() == [1, 1, 1]


@cases.case("honest MoE size report")
def test_honest_size(row: Any, tmp_path: Path, burnish: Any) -> None:
    from transformers import MixtralConfig

    given = row["input"]
    config = MixtralConfig(
        hidden_size=given["hidden"], intermediate_size=given["ffn"], vocab_size=given["vocab"],
        num_hidden_layers=given["layers"], num_attention_heads=4, num_key_value_heads=4,
        num_local_experts=given["experts"], num_experts_per_tok=given["top_k"],
        tie_word_embeddings=given["tied"], architectures=["MixtralForCausalLM"],
    )  # fmt: skip
    shape = decoder_config(config)
    assert shape is not None and count(shape).num_params == 443_712
    network = Decoder(shape, config)
    assert sum(p.numel() for p in {id(p): p for p in network.parameters()}.values()) == 443_712
    config.save_pretrained(tmp_path)
    told = burnish("arch", "show", tmp_path, "--json").json
    assert (told["num_params"], told["num_active_params"]) == (443_712, 148_800)
    assert told["weight_bytes"] == 4 * 443_712 == describe(str(tmp_path))["weight_bytes"]
    norms = 5 * 64  # of the active parameters, these are in no product; the tied head is
    assert told["flops_per_token"] == 2 * (148_800 - norms)


@cases.case("one command on mixed text")
def test_one_command_on_mixed_text(
    row: Any, tmp_path: Path, burnish: Any, monkeypatch: Any
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts_of = tmp_path / "texts"
    texts_of.mkdir()
    for name, content in row["input"]["folder"].items():
        (texts_of / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    words = ["--corpus", "texts", "--params", "20k", "--tokens", "200", "--out", "run", "--json"]
    done = burnish("arch", "pretrain", *words)
    assert done.status == 0, done.err
    told = done.json
    assert (told["corpus"]["num_files"], told["corpus"]["num_documents"]) == (3, 4)
    manifest = read_json(tmp_path / "run" / "stages" / "shards" / "shards" / "manifest.json")
    assert set(manifest["files"]) == {"a.txt", "b.jsonl", "c.md"}
    sides = ("num_train_tokens", "num_heldout_tokens")
    tokens = {n: sum(c.get(s, 0) for s in sides) for n, c in manifest["files"].items()}
    assert sum(tokens.values()) == manifest["num_tokens"] + manifest["num_heldout_tokens"]
    assert min(tokens.values()) > 1
    model = AutoModelForCausalLM.from_pretrained(told["model"])
    tokenizer = AutoTokenizer.from_pretrained(told["model"])
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.decode(tokenizer("one two")["input_ids"]) == "one two"


@pytest.fixture
def solver(tiny_folder: Any) -> Any:
    """A model with a predictor-corrector solver in fp64, and the plain one."""

    def make(order: int) -> Any:
        plain = load_model(str(tiny_folder("llama")), precision="fp32", device="cpu")
        block = blocks.parse(f"pcformer:order={order},beta=0.5")
        assert isinstance(block, PCformerBlock)
        model = upcycle_solver(plain, block).model
        model.network.double()
        return model, load_model(str(tiny_folder("llama")), precision="fp32", device="cpu")

    return make


def session_of(network: Decoder, dtype: torch.dtype) -> DecoderSession:
    return DecoderSession(
        network, num_slots=1, capacity_tokens=64, dtype=dtype, device=CPU, chunk_rows=64
    )


@cases.case("one cache per evaluation, one position per token")
def test_one_cache_per_evaluation(row: Any, solver: Any, tmp_path: Path) -> None:
    """Our engine, and the saved folder's own code with left padding."""
    from transformers import AutoModelForCausalLM, DynamicCache

    given = row["input"]
    model, plain = solver(given["order"])
    (tokens,) = texts((given["tokens"],))
    with torch.no_grad():
        (wanted,) = packed_logits(model.network, [tokens])
    for size in given["decode_chunks"]:
        session = session_of(model.network, torch.float64)
        ordinary = session_of(plain.network, torch.float64)
        for begin in range(0, len(tokens), size):
            found = session.prefill([0], [tokens[begin : begin + size]])
            end = min(begin + size, len(tokens))
            torch.testing.assert_close(found[0], wanted[end - 1], atol=1e-10, rtol=1e-10)
            assert session.cache.lengths == [end]
        assert session.cache.num_bytes == 3 * ordinary.cache.num_bytes
    folder = save_model(model, tmp_path / "model")
    other = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).double().eval()
    with torch.no_grad():
        once = other(torch.tensor([tokens])).logits[0]
    torch.testing.assert_close(once, wanted, atol=1e-5, rtol=1e-4)  # its norms stay in fp32
    for padding in given["left_padding"]:
        ids = torch.tensor([[0] * padding + tokens])
        mask = torch.tensor([[0] * padding + [1] * len(tokens)])
        for size in given["decode_chunks"]:
            cache, parts = DynamicCache(), []
            for begin in range(0, ids.shape[1], size):
                end = min(begin + size, ids.shape[1])
                positions = (mask.cumsum(1) - 1).clamp(min=0)[:, begin:end]
                with torch.no_grad():
                    parts.append(other(
                        ids[:, begin:end], attention_mask=mask[:, :end], position_ids=positions,
                        past_key_values=cache, use_cache=True,
                    ).logits)  # fmt: skip
                assert cache.get_seq_length() == end  # not three times as many
            found = torch.cat(parts, 1)[0, padding:]
            torch.testing.assert_close(found, once, atol=1e-6, rtol=1e-6)


@cases.case("activation checkpointing trains the same model")
def test_checkpointing_trains_the_same_model(row: Any, solver: Any, monkeypatch: Any) -> None:
    def gradients(network: Decoder, checkpointing: bool) -> dict[str, Tensor]:
        network.model.checkpointing = checkpointing
        network.zero_grad()
        loss = objective.NextToken(network, first=1, across=False)
        found = loss(network, [Window(tokens=np.array([1, 5, 9, 7, 3]), num_terms=4)])
        found.backward()
        named = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
        return named | {"loss": found.detach()}

    model, _ = solver(row["input"]["order"])
    network = model.network.requires_grad_(True).train()
    plain, again = (gradients(network, one) for one in row["input"]["checkpoint"])
    assert plain.keys() == again.keys() and any("layers.2" in name for name in plain)
    torch.testing.assert_close(plain, again, atol=1e-10, rtol=1e-10)

    def skipping(layer: Any, rows: Tensor, attend: Any, shared: Any, history: Any, **_: Any) -> Any:
        return rows, history

    monkeypatch.setattr(decoder_module, "checkpoint", skipping)
    assert not any("layers" in name for name in gradients(network, True))
