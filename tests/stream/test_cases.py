"""Small inputs that failed elsewhere: every row of ../shared/cases with part `stream`."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import rope_config
from fixtures.cases import Cases
from fixtures.tiny import make_folder, make_tokenizer, reference_logits, texts
from torch import Tensor

from burnish.base.errors import InputError, SettingError
from burnish.contracts.generation import Request, Sampling
from burnish.contracts.kv_policy import KVShape
from burnish.data.chat import render_chat
from burnish.engine.generate import generate
from burnish.engine.policies import read_rows, shape_of
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval import memory as memory_module
from burnish.kv.retrieval import store as store_module
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.models.load import load_model
from burnish.stream import asking as asking_module
from burnish.stream import folder as folder_module
from burnish.stream import reading as reading_module
from burnish.stream.asking import Index
from burnish.stream.document import Document, Part
from burnish.stream.folder import read_manifest, read_source
from burnish.stream.needles import Haystack, Needle
from burnish.stream.policy_audit import Frame, audit_text
from burnish.stream.prompt import make_source, question_tokens
from burnish.stream.reading import ingest
from burnish.stream.watch import recall_of

cases = Cases("to-build.jsonl", part="stream")
EXACT = {"atol": 1e-4, "rtol": 1e-4}
RETRIEVING = ("triangle", "triangle-dp", "blocks", "surprise", "quest", "random", "oracle")
EVICTING = ("window", "sinks", "snapkv", "expected-attention")
SPECIALS = ("full", "int8")


def test_every_row_has_a_test() -> None:
    cases.check_names()
    assert {*RETRIEVING, *EVICTING, *SPECIALS} == set(kv_policies.names())


def read(model: Any, memory: Any, tokens: Sequence[int], chunk: int) -> Tensor:
    """Logits of all tokens, read in chunks."""
    with torch.inference_mode():
        rows = [
            read_rows(model.network, [memory], [tokens[begin : begin + chunk]])
            for begin in range(0, len(tokens), chunk)
        ]
        return model.network.head(torch.cat(rows))


def opened(model: Any, spec: str) -> Any:
    return open_memory(kv_policies.parse(spec), shape_of(model))


def plainly(model: Any, prompt: Sequence[int], num: int) -> Any:
    """Generation without an index."""
    sampling = Sampling(max_new_tokens=num)
    return generate(model, [Request(id="0", prompt=tuple(prompt), sampling=sampling)])[0]


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


@pytest.fixture
def made(settings_of: Any, tmp_path: Path) -> Callable[..., Index]:
    """An index of a text, opened."""

    def make(text: str, far: int = 5000, **given: Any) -> Index:
        file = write(tmp_path / "given.txt", text)
        ingest(settings_of(far=far, files=(file,), **given))
        return Index(tmp_path / "index")

    return make


@cases.case("text shorter than the sinks")
def test_text_shorter_than_the_sinks(row: Any, made: Any, tiny_model: Any) -> None:
    spec = "triangle-dp:far_tokens=32,local_tokens=8,num_sinks=64"
    index, model = made(row["input"], policy=spec), tiny_model("llama")
    assert index.manifest.num_tokens < 64
    question = model.tokenizer(" What then?", add_special_tokens=False)["input_ids"]
    wanted = plainly(model, [*index.source.ids.tolist(), *question], 8)
    found = index.ask(" What then?", max_new_tokens=8)
    assert (found["text"], found["tokens"]) == (wanted.text, len(wanted.tokens))


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, Any]]:
    """Every choice of far tokens: the layer, rows of the pass, and what was chosen."""
    seen: list[tuple[int, int, Any]] = []

    def choose(self: Any, layer: int, query: Tensor, places: Any) -> Any:
        found = exact(self, layer, query, places)
        seen.append((layer, len(query), None if found is None else found.clone()))
        return found

    exact = RetrievingMemory.choose
    monkeypatch.setattr(RetrievingMemory, "choose", choose)
    return seen


@cases.case("question longer than a chunk", num_rows=2)
def test_question_longer_than_a_chunk(
    row: Any, made: Any, tiny_model: Any, monkeypatch: Any, choices: Any
) -> None:
    given, text = row["input"], " ".join(f"sea {i} rose" for i in range(40))
    if isinstance(given, str):
        num, chunk = map(int, re.findall(r"\d+", given))
        assert chunk == asking_module.CHUNK_ROWS
        local = 24
    else:
        num, chunk, local = given["question_tokens"], given["chunk"], given["local_window"]
        monkeypatch.setattr(asking_module, "CHUNK_ROWS", chunk)
    spec = f"triangle-dp:far_tokens={{}},local_tokens={local},num_sinks=2,most_tokens=12"
    index, model = made(text, policy=spec.format(40)), tiny_model("llama")
    forks: list[Any] = []
    exact = index.fork
    monkeypatch.setattr(index, "fork", lambda: forks.append(exact()) or forks[-1])
    reads = []
    for last in "xyz":  # questions that differ in their last token alone
        question = " " + "x" * (num - 2) + last
        choices.clear()
        found = index.ask(question, max_new_tokens=1)
        assert found["question_tokens"] == num
        passes = [rows for layer, rows, _ in choices if layer == 0]
        parts = [min(chunk, num - 1 - begin) for begin in range(0, num - 1, chunk)]
        assert passes == [*parts, 1]  # chosen in each chunk, and for the last token alone
        reads.append([chosen.tolist() for _, rows, chosen in choices if rows == 1])
    assert reads[0] != reads[1] and reads[1] != reads[2]
    if num <= local:
        begins = [state.begin for state in forks[-1].layers]
        assert max(begins) <= index.manifest.num_tokens  # the whole question is local
    shutil.rmtree(index.folder)
    index = made(text, policy=spec.format(5000))  # all that is far is read
    own = model.tokenizer(question, add_special_tokens=False)["input_ids"]
    wanted = plainly(model, [*index.source.ids.tolist(), *own], 6).text
    for size in (chunk, 3 * chunk, 2 * num):
        monkeypatch.setattr(asking_module, "CHUNK_ROWS", size)
        assert index.ask(question, max_new_tokens=6)["text"] == wanted
    memory = index.fork()
    chunked = read(model, memory, own, chunk)
    whole = read(model, opened(model, "full"), [*index.source.ids.tolist(), *own], 4096)
    torch.testing.assert_close(chunked, whole[-num:], **EXACT)


@pytest.fixture
def moved(tiny_folder: Any, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the model's folder with changed settings, or with other weights."""

    def make(name: str, *, seed: int = 0, **settings: Any) -> Path:
        folder = shutil.copytree(tiny_folder(), tmp_path / name)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
        if seed:
            from safetensors.torch import load_file, save_file

            weights = load_file(folder / "model.safetensors")
            source = torch.Generator().manual_seed(seed)
            new = {n: torch.randn(w.shape, generator=source) * 0.3 for n, w in weights.items()}
            save_file(new, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make


def refused(done: Any, *says: str) -> None:
    """Exit status 2, and one line on stderr that says it; no answer."""
    assert done.status == 2 and done.out == ""
    lines = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and len(lines[0]) < 700, done.err
    assert "Traceback" not in done.err
    for word in says:
        assert re.search(word, lines[0]), (word, lines[0])


@cases.case("index opened with another model, precision or rope setting")
def test_index_opened_with_another_model(
    row: Any, settings_of: Any, tmp_path: Path, moved: Any, burnish: Any
) -> None:
    folder = moved("own")
    ingest(settings_of(model=str(folder)))
    index, config = tmp_path / "index", folder / row["input"].split()[-1]
    asked = ("stream", "ask", index, "What left?", "--max-new-tokens", "2", "--json")
    assert burnish(*asked).status == 0
    refused(burnish(*asked, "--precision", "bf16"), "model's dtype", "float32", "bfloat16")
    other = moved("other", seed=1)
    refused(burnish(*asked, "--model", other), "model's weights", "of the index")
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rope_parameters": rope}))
    refused(burnish(*asked), "model's rope", "linear", "default")


@cases.case("index reopened with another model")
def test_index_reopened_with_another_model(
    row: Any, settings_of: Any, tmp_path: Path, moved: Any, burnish: Any
) -> None:
    assert re.findall("seed ([01])", " ".join(row["input"].values())) == ["0", "1"]
    ingest(settings_of())
    saved = read_manifest(tmp_path / "index").fingerprint
    other = moved("other", seed=1)
    done = burnish("stream", "ask", tmp_path / "index", "What left?", "--model", other, "--json")
    refused(done, f"weights {saved['weights'][:16]}", f"tokenizer {saved['tokenizer'][:16]}",
            r"got 'weights [0-9a-f]{16}, tokenizer [0-9a-f]{16}'")  # fmt: skip
    tokens = make_tokenizer()
    tokens.add_tokens(["harbour"])
    third = moved("third")
    tokens.save_pretrained(third)
    done = burnish("stream", "ask", tmp_path / "index", "What left?", "--model", third, "--json")
    refused(done, "model's tokenizer must be that of the index")


@cases.case("index reopened with other dtype or rope scaling")
def test_index_reopened_with_another_dtype_or_rope(
    row: Any, settings_of: Any, tmp_path: Path, moved: Any, burnish: Any
) -> None:
    saved, (dtype, rope) = row["input"]["saved"], row["input"]["open"]
    names = {"bfloat16": "bf16", "float32": "fp32"}
    ingest(settings_of(model=str(moved("own")), precision=names[saved["dtype"]]))
    asked = ("stream", "ask", tmp_path / "index", "What left?", "--max-new-tokens", "2", "--json")
    assert burnish(*asked).status == 0
    refused(burnish(*asked, "--precision", names[dtype["dtype"]]), "model's dtype", "bfloat16")
    scaled = moved("scaled", rope_parameters={**rope["rope_scaling"], "rope_theta": 10000.0})
    refused(burnish(*asked, "--model", scaled), "model's rope", "linear")


@cases.case("four-byte character at a chunk border")
def test_four_byte_characters_at_chunk_borders(row: Any, made: Any) -> None:
    every = int(re.findall(r"(\d+)th", row["input"])[0])
    assert every + 1 == reading_module.CHUNK_ROWS
    one = "a" * (every - 1) + "🙂"
    text = one * 3 + "b" * 40
    index = made(text, far=40)
    ids = index.source.ids
    for border in (reading_module.CHUNK_ROWS, 2 * reading_module.CHUNK_ROWS):
        around = {int(index.source.offsets[t, 0]) for t in (border - 1, border)}
        assert len(around) == 1 or "🙂" in text[min(around) : max(around) + 1]
    assert index.model.tokenizer.decode(ids) == text
    spans = [s for q in ("", "🙂", " and 🙂?") for s in index.ask(q, max_new_tokens=3)["spans"]]
    assert spans
    for span in spans:
        assert span["text"] == text[span["start"] : span["end"]] and "\ufffd" not in span["text"]
    offsets = index.source.offsets
    for first, end in offsets[(ids > 2)]:  # each byte of a character stands for all of it
        assert text[first:end] and (text[first:end].isascii() or text[first:end] == "🙂")


@cases.case("two questions on one index, in either order")
def test_two_questions_in_either_order(row: Any, settings_of: Any, tmp_path: Path) -> None:
    assert row["input"] == "ask A then B, B then A"
    ingest(settings_of(far=40))
    asked = {"A": " When did the boats leave?", "B": " Who slept?"}

    def answers(order: str) -> dict[str, Any]:
        index = Index(tmp_path / "index")
        found = {name: index.ask(asked[name], max_new_tokens=5) for name in order}
        return {n: {k: v for k, v in f.items() if not k.endswith("_s")} for n, f in found.items()}

    assert answers("AB") == answers("BA") == {**answers("A"), **answers("B")}


class Planted:
    """One layer whose needle tokens have a key that they and the last query ask for."""

    def __init__(self, needles: Sequence[tuple[int, int]], num: int, *, heads: int = 2) -> None:
        source, size = np.random.default_rng(0), 8
        self.shape = KVShape(
            num_layers=1, num_kv_heads=heads, head_dim=size, windows=[None],
            config=rope_config(size), dtype=torch.float32, device=torch.device("cpu"),
        )  # fmt: skip
        wanted = np.zeros(size)
        wanted[3] = 9.0  # the slowest pair: a distance hardly turns it
        self.key = source.normal(size=(num, heads, size)) * 0.3
        self.key[:, :, 3] = 0
        self.query = source.normal(size=(num, heads, size)) * 0.3
        for first, end in (*needles, (num - 1, num)):
            self.query[first:end] = wanted
        for first, end in needles:
            self.key[first:end] = wanted
        self.value = source.normal(size=(num, heads, size))
        self.num, self.starts = num, np.zeros(0)

    def held(self, spec: str, chunk: int) -> list[Tensor]:
        """Positions that each head reads with the last query."""
        memory: Any = open_memory(kv_policies.parse(f"{spec},positions=constant"), self.shape)
        found: list[Tensor] = []
        ends = [*range(chunk, self.num - 1, chunk), self.num - 1, self.num]
        begin = 0
        for end in ends:
            memory.watch = lambda layer, query, at: found.append(at)
            new = (torch.tensor(x[begin:end]).float() for x in (self.query, self.key, self.value))
            memory.attend(end - begin)(0, *new)
            if getattr(kv_policies.parse(spec), "needs_surprise", False):
                memory.see_surprise(np.where(np.arange(begin, end) % 16, 1.0, 9.0))
            begin = end
            memory.advance()
        self.starts = memory.layers[0].index.starts
        return list(found[-1])


@cases.case("needle across a chunk border and across a span border")
def test_needle_across_borders(row: Any) -> None:
    """The real choice of every policy, on keys that only the needle has."""
    border = int(re.findall(r"\d+", row["input"])[0])
    world = Planted([(border - 4, border + 4)], 2 * border)
    for name in RETRIEVING:
        if name == "random":
            continue
        sizes = {"blocks": ",size=16", "quest": ",size=16"}.get(name, "")
        spec = f"{name}:far_tokens=64,local_tokens=16,num_sinks=0{sizes}"
        held = world.held(spec, chunk=border)
        assert recall_of(held, [(border - 4, border + 4)]) == 1.0, name
        assert all(len(own) == 64 for own in held), name


@cases.case("several needles on block borders")
def test_several_needles_on_block_borders(row: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(memory_module, "LEAST_ROWS", 32)
    given = row["input"]
    needles, size = [(a, b + 1) for a, b in given["needles"]], given["block"]
    world = Planted(needles, 140)
    for budget in given["budget_tokens"]:
        wanted = {32: 0.5, 64: 1.0}[budget]
        spec = f"blocks:far_tokens={budget},local_tokens=8,num_sinks=0,size={size}"
        held = world.held(spec, chunk=size)
        assert recall_of(held, needles) == wanted
        assert all(len(own) == budget for own in held)  # tokens, not blocks
    for name in ("triangle", "triangle-dp"):
        for chunk in (size, size - 2, 139):  # the first ends inside of each needle
            held = world.held(f"{name}:far_tokens=64,local_tokens=8,num_sinks=0", chunk=chunk)
            assert recall_of(held, needles) == 1.0 and all(len(own) == 64 for own in held), name
            starts = world.starts.tolist()
            assert not [s for s in starts for a, b in needles if a < s < b], (name, chunk, starts)


def templated(template: str) -> Any:
    tokenizer = copy.deepcopy(make_tokenizer())
    tokenizer.chat_template = template
    return tokenizer


@cases.case("chat template with a document")
def test_chat_with_a_document(row: Any, made: Any, tiny_model: Any) -> None:
    """The same tokens at the same positions as a chat that holds document and question."""
    assert row["input"] == "--chat"
    text, question = "Sea level rose. " * 9, "What rose?"
    index, model = made(text, template="chat"), tiny_model("llama")
    whole = render_chat(model.tokenizer, [{"role": "user", "content": f"{text}\n\n{question}"}])
    found = index.ask(question, max_new_tokens=8)
    assert index.manifest.num_tokens + found["question_tokens"] == len(whole)
    assert found["text"] == plainly(model, whole, 8).text
    memory = index.fork()
    read(model, memory, whole[index.manifest.num_tokens :], 7)
    assert memory.num_tokens == len(whole)  # the next position is that of the plain chat


@cases.case("chat template with the document")
def test_chat_template_with_the_document(row: Any) -> None:
    given = row["input"]
    before, after = given["template"].split("{content}")
    tokenizer = templated(f"{before}{{{{ messages[0]['content'] }}}}{after}")
    document = Document(
        text=given["document"], parts=(Part(name="a", first=0, end=len(given["document"])),)
    )
    source = make_source(tokenizer, document, "chat")
    tail, _ = question_tokens(tokenizer, source, given["question"], "chat")
    message = {"role": "user", "content": f"{given['document']}\n\n{given['question']}"}
    assert [*source.ids, *tail] == render_chat(tokenizer, [message])
    text = tokenizer.decode([*source.ids, *tail])
    assert text == f"{before}{message['content']}{after}" and text.endswith("[/U]")
    assert text.count("[U]") == 1 and "role" not in text and "{" not in text


@cases.case("keep-ratio rounds to zero on a tiny history")
def test_keep_ratio_rounds_to_zero(row: Any, tiny_model: Any) -> None:
    """What a ratio leaves of a history is a budget in tokens, and never less than one."""
    model, found = tiny_model("llama"), []
    for num, drop in row["input"]["pairs"]:
        budget = max(1, int(num * (1 - drop)))
        for spec in (f"window:budget_tokens={budget},num_sinks=0",
                     f"sinks:far_tokens=0,local_tokens={budget},num_sinks=0",
                     f"snapkv:budget_tokens={budget},num_sinks=0",
                     f"expected-attention:budget_tokens={budget},num_sinks=0"):  # fmt: skip
            memory, (tokens,) = opened(model, spec), texts([num + 1])
            logits = read(model, memory, tokens[:num], num)
            assert memory.num_kept_tokens == budget, (spec, num)
            then = read(model, memory, tokens[num:], 1)
            assert bool(torch.isfinite(torch.cat((logits, then))).all()), spec
        found.append(budget)
        far = f"triangle-dp:far_tokens={budget - 1},local_tokens=1,num_sinks=0"
        assert bool(torch.isfinite(read(model, opened(model, far), tokens, 1)).all())
    assert found == [1, 1, 1, 5]
    for spec in ("window:budget_tokens=0", "snapkv:budget_tokens=0",
                 "expected-attention:budget_tokens=0"):  # fmt: skip
        with pytest.raises(SettingError, match=r"budget_tokens must be"):
            kv_policies.parse(spec)


@cases.case("budget larger than history")
def test_budget_larger_than_history(row: Any, tiny_model: Any, tiny_reference: Any) -> None:
    given = row["input"]
    assert given["policies"] == "all"
    (tokens,), model = texts([given["tokens"]]), tiny_model("llama")
    wanted = reference_logits(tiny_reference("llama"), tokens)
    most = given["sinks"] + given["window"]
    own = f"local_tokens={given['window']},num_sinks={given['sinks']}"
    for name in kv_policies.names():
        spec = name
        if name in RETRIEVING:
            spec = f"{name}:{own},positions=true"
        elif name in EVICTING:
            spec = f"{name}:{own}" if name == "sinks" else f"{name}:budget_tokens={most}"
        for chunk in range(1, given["tokens"] + 1):
            memory = opened(model, spec)
            found = read(model, memory, tokens, chunk)
            assert memory.num_kept_tokens == given["tokens"], spec
            if name == "int8":  # it evicts nothing, but rounds
                assert float((found - wanted).abs().max()) < 0.5
            else:
                torch.testing.assert_close(found, wanted, **EXACT)


@cases.case("mask after eviction when a chunk has several queries")
def test_mask_after_eviction(row: Any) -> None:
    """Equal scores and values that name their tokens: an output says which keys it saw."""
    kept, new = row["input"]["kept_old_keys"], row["input"]["new_tokens"]
    num = kept + 3 + new
    shape = KVShape(
        num_layers=1, num_kv_heads=1, head_dim=16, windows=[None], config=rope_config(16),
        dtype=torch.float32, device=torch.device("cpu"),
    )  # fmt: skip
    zeros, named = torch.zeros((num, 1, 16)), torch.eye(num, 16)[:, None]
    for name in ("snapkv", "expected-attention"):
        memory: Any = open_memory(
            kv_policies.parse(f"{name}:budget_tokens={kept},num_sinks=0,window_tokens=1"), shape
        )
        memory.attend(num - new)(0, *(x[: num - new] for x in (zeros, zeros, named)))
        memory.advance()
        assert memory.num_kept_tokens == kept
        out = memory.attend(new)(0, *(x[num - new :] for x in (zeros, zeros, named)))
        seen = [np.flatnonzero(r[0].numpy()).tolist() for r in out]
        assert [len(one) for one in seen] == [3, 4, 5, 6], name
        old = memory.layers[0].at[0, :kept].tolist()
        assert all(one == [*old, *range(num - new, num - new + 1 + i)]
                   for i, one in enumerate(seen))  # fmt: skip


@cases.case("observation window longer than the prompt")
def test_observation_window_longer_than_the_prompt(
    row: Any, tiny_model: Any, tiny_reference: Any
) -> None:
    given = row["input"]
    model, (tokens,) = tiny_model("llama"), texts([given["prompt_tokens"]])
    spec = f"{given['policy']}:window_tokens={given['window']}"
    memory = opened(model, spec)
    found = read(model, memory, tokens, given["prompt_tokens"])
    torch.testing.assert_close(found, reference_logits(tiny_reference("llama"), tokens), **EXACT)
    assert memory.num_kept_tokens == given["prompt_tokens"]
    needle = Needle(places=((3, 6),), depth=0.2, question=(7, 8, 9), answer=(5,))
    text, frame = Haystack(ids=tuple(tokens), needles=(needle,)), Frame(
        num_sinks=2, local_tokens=4, bound=0.1, answers=False
    )  # fmt: skip
    for told, wanted in ((spec, 1.0), ("snapkv:budget_tokens=6,num_sinks=0", 6 / 18)):
        (one,) = audit_text(model, kv_policies.parse(told), text, frame)
        assert one["read_frac"] == pytest.approx(wanted, abs=0.3 if wanted < 1 else 0)
        assert (one["read_frac"] == 1.0) == (wanted == 1.0)


@cases.case("snapkv must not need the whole prefill")
def test_snapkv_holds_a_budget_and_a_chunk(row: Any, tiny_model: Any) -> None:
    given = row["input"]
    model, (tokens,) = tiny_model("llama"), texts([given["doc_tokens"]])
    sizes = f"budget_tokens={given['budget']},num_sinks={given['sinks']}"
    memory = opened(model, f"{given['policy']}:{sizes}")
    read(model, memory, tokens, given["chunk"])
    assert memory.peak_tokens == 64 + 4 + 32
    assert {held.cells.shape[2] for held in memory.layers} == {64 + 4}


@cases.case("chunked prefill is causal in what it has kept")
def test_chunked_prefill_is_causal(row: Any, tiny_model: Any) -> None:
    given, model = row["input"], tiny_model("llama")
    num, chunk = given["tokens"], given["chunk"]
    first, other = texts([num, chunk], seed=5)
    full = read(model, opened(model, "full"), first, chunk)
    for name in EVICTING:
        spec = {"sinks": "sinks:far_tokens=3,local_tokens=4,num_sinks=1"}.get(
            name, f"{name}:budget_tokens=6,num_sinks=1"
        )
        runs = []
        for tokens in (first, [*first[: 2 * chunk], *other]):
            memory = opened(model, spec)
            rows = read(model, memory, tokens[: 2 * chunk], chunk)
            kept = [held.at.clone() for held in getattr(memory, "layers", ())]
            mark = memory.mark()
            read(model, memory, tokens[2 * chunk :], chunk)
            memory.rewind(mark)
            runs.append((rows, kept, read(model, memory, first[2 * chunk :], chunk)))
        (rows, kept, then), (rows_2, kept_2, then_2) = runs
        assert torch.equal(rows, rows_2) and torch.equal(then, then_2), spec
        assert all(torch.equal(a, b) for a, b in zip(kept, kept_2, strict=True))
        if kept:  # those forget between chunks: the second sees the first one compressed
            torch.testing.assert_close(rows[:chunk], full[:chunk], **EXACT)
        assert not torch.allclose(rows[chunk:], full[chunk : 2 * chunk], atol=1e-3), spec


@cases.case("document end and question start merge in BPE")
def test_a_word_over_the_seam(row: Any) -> None:
    """A tokenizer that knows the whole word; the seam is a boundary, and that is said."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(["the capital is Windhoek"] * 50, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    text, question = row["input"]["document"], row["input"]["question"]
    joined = tokenizer(text + question, add_special_tokens=False)["input_ids"]
    document = Document(text=text, parts=(Part(name="a", first=0, end=len(text)),))
    source = make_source(tokenizer, document, "plain")
    tail, seam = question_tokens(tokenizer, source, question, "plain")
    assert [*source.ids, *tail] != joined and seam == "hard"
    apart = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in (text, question)]
    assert [source.ids.tolist(), tail] == apart  # never a third sequence
    tail, seam = question_tokens(tokenizer, source, " " + question, "plain")
    whole = tokenizer(f"{text} {question}", add_special_tokens=False)["input_ids"]
    assert [*source.ids, *tail] == whole and seam == "seamless"


@cases.case("UTF-8 split at ingest borders")
def test_utf8_split_at_borders(
    row: Any, settings_of: Any, tmp_path: Path, monkeypatch: Any, burnish: Any, tiny_folder: Any
) -> None:
    body = bytes.fromhex(row["input"]["utf8_hex"])
    (tmp_path / "u.txt").write_bytes(body)
    found = []
    for size in (*row["input"]["block_bytes"], 512):
        monkeypatch.setattr(reading_module, "CHUNK_ROWS", size)  # every byte here is a token
        place = tmp_path / f"index-{size}"
        ingest(settings_of(files=(str(tmp_path / "u.txt"),), index=str(place)))
        source = read_source(place, read_manifest(place))
        found.append((source.document.text, source.ids.tolist()))
    assert all(one == found[-1] for one in found)
    assert found[0][0] == "naïve 漢字 🙂" and len(found[0][0]) == 10
    (tmp_path / "cut.txt").write_bytes(body[:-1])
    done = burnish("stream", "ingest", tiny_folder(), tmp_path / "cut.txt", "--index",
                   tmp_path / "cut", "--json")  # fmt: skip
    refused(done, "must be UTF-8", f"byte {len(body) - 4}")
    assert not (tmp_path / "cut").exists()


def in_process(code: str, *words: Any, **env: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | env
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], env=given, capture_output=True, text=True
    )


@cases.case("key equal in every process")
def test_keys_are_equal_in_every_process(row: Any, tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; import numpy as np;"
        "from burnish.stream.document import *; from burnish.stream.folder import *;"
        "ids = np.array(json.loads(sys.argv[2])); d = Document(text='abc', parts=(Part("
        "name='a', first=0, end=3),)); s = TokenizedDocument(document=d, head='', ids=ids,"
        "offsets=np.zeros((len(ids), 2), dtype=np.int64));"
        "print(write_source(Path(sys.argv[1]), s)['tokens'])"
    )
    found = []
    for n, seed in enumerate(row["input"]["env"]):
        name, value = seed.split("=")
        done = in_process(code, tmp_path / str(n), json.dumps(row["input"]["ids"]), **{name: value})
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.strip())
    assert len(found) == 2 and len(set(found)) == 1 and re.fullmatch(r"tokens-\w{16}.npz", found[0])


@cases.case("digest collision")
def test_digest_collision(row: Any, settings_of: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """All texts have one digest; another text is still another text."""
    bits = int(re.findall(r"(\d+) bits", row["input"]["force"])[0])
    exact = folder_module.content_hash
    monkeypatch.setattr(folder_module, "content_hash", lambda value: "0" * (64 - bits // 4) + "a")
    assert len(exact("x")) == 64
    one, two = (str(ids) for ids in row["input"]["two_blocks"])
    files = [write(tmp_path / f"{n}.txt", f"{t} the sea rose") for n, t in enumerate((one, two))]
    told = ingest(settings_of(files=(files[0],)))
    before = {p.name: p.read_bytes() for p in (tmp_path / "index").iterdir()}
    with pytest.raises(InputError, match="holds another index"):
        ingest(settings_of(files=(files[1],)))
    assert {p.name: p.read_bytes() for p in (tmp_path / "index").iterdir()} == before
    again = ingest(settings_of(files=(files[0],)))
    assert (again["new_tokens"], again["tokens"]) == (0, told["tokens"])


def test_tokens_that_are_changed_are_refused(settings_of: Any, tmp_path: Path) -> None:
    """The name is a digest of what the file holds."""
    ingest(settings_of())
    path = tmp_path / "index" / read_manifest(tmp_path / "index").tokens
    with np.load(path) as arrays:
        ids, offsets = arrays["ids"].copy(), arrays["offsets"]
    ids[5] += 1
    np.savez(path, ids=ids, offsets=offsets)
    with pytest.raises(InputError, match="is damaged"):
        Index(tmp_path / "index")


DYING = """
import os, signal, sys
from burnish.kv.retrieval import memory
from burnish.stream import reading
reading.CHUNK_ROWS = reading.SAVE_TOKENS = 64
memory.LEAST_ROWS = 32
exact, saved = reading.save, []
def dying(*given):
    saved.append(exact(*given))
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return saved[-1]
reading.save = dying
reading.ingest(reading.IngestSettings(model=sys.argv[1], files=(sys.argv[2],), index=sys.argv[3],
    policy=sys.argv[4], template='plain', precision='fp32'))
"""


@cases.case("directory survives restart")
def test_a_folder_survives_a_kill(
    row: Any, settings_of: Any, tmp_path: Path, text_file: Path, monkeypatch: Any
) -> None:
    assert "kill -9" in row["input"]["steps"]
    for name in ("CHUNK_ROWS", "SAVE_TOKENS"):
        monkeypatch.setattr(reading_module, name, 64)
    settings, index = settings_of(), tmp_path / "index"
    wanted = ingest(settings_of(index=str(tmp_path / "straight")))
    answer = Index(tmp_path / "straight").ask(" sea?", max_new_tokens=4)["text"]
    done = in_process(DYING, settings.model, text_file, index, settings.policy)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_manifest(index).num_tokens == 128
    with pytest.raises(InputError, match="is an incomplete index"):
        Index(index)
    (index / "state-000000192.safetensors").write_bytes(b"half-written")
    resumed = ingest(settings)
    assert resumed["new_tokens"] == wanted["tokens"] - 128
    assert Index(index).ask(" sea?", max_new_tokens=4)["text"] == answer
    assert len(list(index.glob("state-*"))) == 1 and not list(index.glob(".*"))
    (index / "manifest.json").unlink()  # killed before the first state was named
    with pytest.raises(InputError, match="is an incomplete index"):
        Index(index)


@cases.case("save right after prefill, continue without new input")
def test_saved_after_prefill(row: Any, made: Any, tiny_model: Any) -> None:
    num = row["input"]["doc_tokens"]
    model = tiny_model("llama")
    for text, far in (("q" * num, 5000), ("the sea rose " * 20, 40)):
        index = made(text, far=far)
        assert far == 40 or index.manifest.num_tokens == num
        memory = opened(model, index.manifest.policy)
        last = read(model, memory, index.source.ids.tolist(), reading_module.CHUNK_ROWS)[-1]
        wanted = []
        for _ in range(8):  # without saving
            wanted.append(int(last.argmax()))
            last = read(model, memory, wanted[-1:], 1)[-1]
        assert index.ask("", max_new_tokens=8)["text"] == model.tokenizer.decode(wanted)
        shutil.rmtree(index.folder)


def dynamic_folder(folder: Path, **rope: Any) -> Path:
    """A model with a rope that depends on the length."""
    config = json.loads((make_folder("llama-dynamic", folder) / "config.json").read_text())
    config |= {"max_position_embeddings": rope.pop("max_position"), "rope_parameters": rope}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@cases.case("dynamic NTK with cached keys")
def test_dynamic_ntk_is_refused(row: Any, tmp_path: Path, burnish: Any, text_file: Path) -> None:
    """Where keys turn with the length no index can hold them; nothing is written."""
    rope = row["input"]["rope"]
    given = {"max_position": rope["max_position"], "rope_type": rope["type"],
             "rope_theta": float(rope["theta"]), "factor": float(rope["factor"])}  # fmt: skip
    folder = dynamic_folder(tmp_path / "model", **given)
    for chunk in row["input"]["chunks"]:
        assert chunk <= row["input"]["tokens"]
    index = tmp_path / "index"
    refused(burnish("stream", "ingest", folder, text_file, "--index", index, "--json"),
            "needs a model that burnish's own decoder runs")  # fmt: skip
    assert not index.exists()
    for policy in ("triangle-dp", "window"):
        done = burnish("generate", folder, "the sea", "--kv", policy, "--json")
        refused(done, "needs a model that burnish's own decoder runs")


@cases.case("dynamic NTK below the trained length")
def test_dynamic_ntk_below_the_trained_length(row: Any, tmp_path: Path) -> None:
    """Served shorter than trained, the angles are those of the plain rope."""
    given = row["input"]
    rope = {"rope_theta": float(given["theta"]), "factor": float(given["factor"])}
    dynamic = load_model(
        str(dynamic_folder(tmp_path, max_position=given["trained"], rope_type="dynamic", **rope)),
        precision="fp32",
    )
    (tokens,) = texts([given["served"]])
    sizes = dynamic.network.network.model.rotary_emb
    with torch.inference_mode():
        found = dynamic.network.logits_at([tokens], [slice(None)])
        exponents = torch.arange(0, 2 * len(sizes.inv_freq), 2) / (2 * len(sizes.inv_freq))
        torch.testing.assert_close(sizes.inv_freq, given["theta"] ** -exponents)
        assert bool(torch.isfinite(found).all()) and sizes.attention_scaling == 1.0


@cases.case("one request larger than the fast tier")
def test_a_text_larger_than_the_fast_tier(row: Any, tiny_model: Any, monkeypatch: Any) -> None:
    given = row["input"]
    monkeypatch.setattr(store_module, "SPILL_TOKENS", 64)
    monkeypatch.setattr(memory_module, "LEAST_ROWS", 32)
    model, (tokens,) = tiny_model("llama"), texts([given["kv_tokens"]])
    spec = f"triangle-dp:far_tokens={given['budget']},local_tokens=16,num_sinks=4,least_tokens=2"
    wanted = read(model, opened(model, spec), tokens, 50)
    for keep in (0.0, 0.9):
        disk = f"{spec},tier=disk,cache_tokens={given['fast_tier_tokens']},cache_keep={keep}"
        memory = opened(model, disk)
        assert torch.equal(read(model, memory, tokens, 50), wanted)
        for store in memory.stores:
            assert store.num_mapped_tokens > 0.8 * given["kv_tokens"]
            assert 0 < store.cache.num_tokens <= given["fast_tier_tokens"]
