"""What a model says of prompts: whole prompts again, stored rows, servers, written answers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.tiny import reference_logits

from burnish.base.errors import ModelError, SettingError
from burnish.base.meter import Meter
from burnish.graph import reading
from burnish.graph.reading import Reader, Reading, ReadingSettings, check_reading
from burnish.models import precision
from burnish.models.handle import ModelHandle

LABELS = ["ab", "ab abc", "in the"]
PROMPTS = ["the abc on", "the abc in", "12 = er"]


@pytest.fixture
def handle(tiny_folder):
    return ModelHandle(str(tiny_folder()), precision="fp32", device="cpu")


def reader_of(handle, log=None, **settings):
    return Reader(handle, ReadingSettings(**settings), log, Meter("test"))


def read(reader, prompts=PROMPTS):
    return reader.read(prompts, LABELS, gap=" ", end="\n")


def check_whole(handle, reference):
    encode = handle.tokenizer.encode
    for prompt, found in zip(PROMPTS, read(reader_of(handle)), strict=True):
        for label, logprob, count in zip(LABELS, found.logprobs, found.num_tokens, strict=True):
            before, whole = encode(prompt), encode(f"{prompt} {label}\n")
            logs = reference_logits(reference, whole).double().log_softmax(-1)
            own = range(len(whole) - count, len(whole))
            assert len(before) == len(whole) - count
            assert abs(sum(logs[i - 1, whole[i]].item() for i in own) - logprob) < 1e-4


def test_readings_equal_whole_prompts(handle, tiny_reference):
    check_whole(handle, tiny_reference("llama"))


def test_planted_label_without_its_end(handle, tiny_reference, monkeypatch):
    real = Reader.read
    monkeypatch.setattr(Reader, "read", lambda self, p, n, *, gap, end, what="": real(
        self, p, n, gap=gap, end=""))  # fmt: skip
    with pytest.raises(AssertionError):
        check_whole(handle, tiny_reference("llama"))


def test_formats_have_readings_of_their_own(tiny_folder, tmp_path, monkeypatch):
    """What `auto` means differs between machines; a log that moves does not mix formats."""
    log = tmp_path / "rows.jsonl"
    for times in ({"fp32": 1.0, "bf16": 2.0}, {"fp32": 2.0, "bf16": 1.0}):
        monkeypatch.setattr(precision, "probe", lambda times=times: times)
        for _ in range(2):
            with_log = reader_of(ModelHandle(str(tiny_folder()), device="cpu"), log)
            read(with_log)
            with_log.close()
    assert len(log.read_text().splitlines()) == 2 * len(PROMPTS)


def test_rows_are_kept_and_a_torn_one_is_read_again(handle, tmp_path):
    log = tmp_path / "rows.jsonl"
    first = reader_of(handle, log)
    wanted = read(first)
    first.close()
    paid = first.meter.totals()["prefilled"]
    again = reader_of(handle, log)
    assert read(again) == wanted and again.meter.totals()["prefilled"] == 0 < paid
    again.close()
    text = log.read_text()
    log.write_text(text[:-20])
    torn = reader_of(handle, log)
    found = read(torn)
    assert 0 < torn.meter.totals()["prefilled"] < paid
    torn.close()
    assert found[:2] == wanted[:2] or found[1:] == wanted[1:]  # the whole rows, as they are kept
    for one, other in zip(found, wanted, strict=True):  # read alone, not among three: last bits
        assert (one.num_tokens, one.choice) == (other.num_tokens, other.choice)
        assert one.logprobs == pytest.approx(other.logprobs, rel=1e-6)
    assert len([json.loads(line) for line in log.read_text().splitlines()]) == 3
    # the same prompt under another model or precision is another reading
    assert reader_of(ModelHandle("smollm2-135m"))._name != again._name


def check_shares():
    found = Reading(logprobs=(-2.0, -9.0), num_tokens=(1, 3), choice=0).shares(2)
    inverse = [1 / np.exp(2), 1 / np.exp(3)]  # perplexities are exp of the mean NLL
    assert np.allclose(found, np.array(inverse) / sum(inverse))


def test_shares_are_inverse_perplexities():
    check_shares()
    assert Reading(choice=1).shares(3) == [0.0, 1.0, 0.0] and Reading().shares(2) == [0.0, 0.0]


def test_planted_inverse_nll(monkeypatch):
    """As the released code has it: 1/NLL in place of 1/PPL."""

    def released(self, num):
        weights = [-1 / mean for mean in self.means]
        return [weight / sum(weights) for weight in weights]

    monkeypatch.setattr(reading.Reading, "shares", released)
    with pytest.raises(AssertionError):
        check_shares()


def check_reference(handle, reference):
    (found,) = reader_of(handle).reference_nll(["the abc"], [" on 12"])
    before = handle.tokenizer.encode("the abc")
    own = handle.tokenizer.encode(" on 12", add_special_tokens=False)
    logs = reference_logits(reference, before + own).log_softmax(-1)
    wanted = -sum(logs[len(before) + i - 1, t].item() for i, t in enumerate(own)) / len(own)
    assert abs(found - wanted) < 1e-4


def test_reference_equals_full_logits(handle, tiny_reference):
    check_reference(handle, tiny_reference("llama"))


def test_planted_sum_of_the_reference(handle, tiny_reference, monkeypatch):
    real = Reader._nll
    monkeypatch.setattr(Reader, "_nll", lambda self, pairs: [2 * v for v in real(self, pairs)])
    with pytest.raises(AssertionError):
        check_reference(handle, tiny_reference("llama"))


def test_workers_score_alike(handle, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", 2)
    assert read(reader_of(handle, launcher="serial")) == read(reader_of(handle))


def test_written_answers_are_parsed(handle):
    found = read(reader_of(handle, answer="write", max_new_tokens=3))
    assert [one.logprobs for one in found] == [()] * 3
    assert all(one.choice is None or 0 <= one.choice < 3 for one in found)


class Server(ModelHandle):
    """Stands for a handle of a server that answers `echo` by a local model."""

    remote = None

    def __init__(self, local, echoes=True):
        super().__init__("openai:http://x/v1#y")
        self.local, self.echoes = local, echoes
        self.remote = SimpleNamespace(ask=self.ask, url="http://x/v1", name="y")

    def ask(self, path, body, *, remedy):
        assert path == "completions" and body["echo"]
        choices = []
        for index, text in reversed(list(enumerate(body["prompt"]))):
            found = self.local.tokenizer(text, return_offsets_mapping=True)
            tokens, starts = found["input_ids"], [a for a, _ in found["offset_mapping"]]
            logs = torch.log_softmax(self.logits(tokens), -1)
            values = [None, *(logs[i - 1, t].item() for i, t in enumerate(tokens) if i)]
            told = {"token_logprobs": values, "text_offset": starts} if self.echoes else None
            choices.append({"index": index, "logprobs": told})
        return {"choices": choices}

    def logits(self, tokens):
        from fixtures.tiny import packed_logits

        return packed_logits(self.local.model.network, [tokens])[0]


def test_a_server_agrees_with_the_model(handle):
    wanted, found = read(reader_of(handle)), read(reader_of(Server(handle)))
    for one, other in zip(wanted, found, strict=True):
        assert np.allclose(one.logprobs, other.logprobs, atol=1e-3)
        assert one.num_tokens == other.num_tokens
    with pytest.raises(ModelError, match=r"answer=write"):
        read(reader_of(Server(handle, echoes=False)))


def test_labels_one_the_beginning_of_another(handle):
    labels = ["Baby", "Baby Products", "baby"]
    (found,) = reader_of(handle).read(["a"], labels, gap=" ", end="\n")
    assert len(set(found.logprobs)) == 3 and abs(sum(found.shares(3)) - 1) < 1e-9


def test_wrong_settings():
    check_reading(ReadingSettings(launcher="processes:workers=2"))
    with pytest.raises(SettingError):
        check_reading(ReadingSettings(max_new_tokens=0))
