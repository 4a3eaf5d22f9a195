"""A model whose next state is a rotation of the last: drafts are right, always."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import make_tokenizer

from burnish.contracts.generation import Request, Sampling
from burnish.draft.distil import Text
from burnish.draft.fit import FitSettings, start_maps
from burnish.draft.loop import generate_drafted
from burnish.draft.maps import Maps, backbone_key, save_maps
from burnish.draft.streams import collect_streams
from burnish.engine.generate import generate
from burnish.models.load import load_model

VOCAB, SIZE, K = 269, 28, 3


def rotation(times: int) -> torch.Tensor:
    """The orbit's step, `times` times over: a rotation of each pair of dimensions."""
    matrix = torch.zeros(SIZE, SIZE, dtype=torch.double)
    for pair in range(SIZE // 2):
        angle = torch.tensor(2 * torch.pi * (2 * pair + 1) * times / VOCAB, dtype=torch.double)
        c, s = angle.cos(), angle.sin()
        at = 2 * pair
        matrix[at : at + 2, at : at + 2] = torch.tensor([[c, -s], [s, c]])
    return matrix.float()


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Attention and feed-forward give nothing; embeddings lie on an orbit; x + 1 follows x."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("rotating")
    config = AutoConfig.for_model(
        "llama", vocab_size=VOCAB, hidden_size=SIZE, intermediate_size=37, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=6, max_position_embeddings=4096,
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    start = torch.ones(SIZE) / SIZE**0.5
    orbit = torch.stack([rotation(x) @ start for x in range(VOCAB)])
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(orbit)
        model.lm_head.weight.copy_(orbit.roll(1, 0) * 10)  # row x + 1 is the embedding of x
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    loaded = load_model(str(folder), precision="fp32", device="cpu")
    return dataclasses.replace(loaded, eos_ids=frozenset())


def save(model: Any, path: Path, weight: torch.Tensor, bias: torch.Tensor) -> Path:
    maps = Maps(
        kind="firp", weight=weight, bias=bias, vocabulary=torch.arange(VOCAB),
        entries=(1,) * K, backbone=backbone_key(model),
    )  # fmt: skip
    save_maps(path, maps)
    return path


def check_rotation(model: Any, path: Path, num_tokens_per_step: int, passes: str) -> None:
    """Prefill and a first pass give a token each; every later pass gives k + 1, exactly."""
    num_steps = 5
    sampling = Sampling(max_new_tokens=2 + num_steps * num_tokens_per_step)
    requests = [Request(id=str(x), prompt=(x, x + 1), sampling=sampling) for x in (7, 90, 260)]
    spec = f'firp:weights="{path}",nodes={K + 1},offsets=0,passes={passes}'
    found = generate_drafted(model, requests, drafter=spec, batch_size=2)
    assert [c.tokens for c in found] == [c.tokens for c in generate(model, requests)]
    first = requests[0].prompt[-1]
    assert list(found[0].tokens) == [(first + 1 + i) % VOCAB for i in range(len(found[0].tokens))]
    assert [c.num_passes for c in found] == [2 + num_steps] * 3


@pytest.mark.parametrize("passes", ["one", "two"])
def test_rotation_accepts_everything(rotating: Any, tmp_path: Path, passes: str) -> None:
    weight = torch.stack([rotation(i) for i in range(1, K + 1)])
    path = save(rotating, tmp_path / "r.safetensors", weight, torch.zeros(K, SIZE))
    check_rotation(rotating, path, K + 1, passes)


def test_planted_offset_by_one(rotating: Any, tmp_path: Path) -> None:
    """Maps that guess the bonus token again: nothing is accepted any more."""
    weight = torch.stack([rotation(i) for i in range(K)])
    path = save(rotating, tmp_path / "r.safetensors", weight, torch.zeros(K, SIZE))
    with pytest.raises(AssertionError):
        check_rotation(rotating, path, K + 1, "one")
    check_rotation(rotating, path, 1, "one")  # and the text is still right


def test_ridge_finds_the_rotation(rotating: Any, tmp_path: Path) -> None:
    """Self-distillation in closed form, from texts alone, reaches the same k + 1."""
    texts = [
        Text(id=str(x), prompt=(x,), answer=tuple((x + 1 + i) % VOCAB for i in range(24)))
        for x in range(0, VOCAB, 9)
    ]
    streams = collect_streams(rotating, texts, [1])
    settings = FitSettings(entries=(1,) * K, penalty=1e-6)
    maps = start_maps(rotating.network, streams, range(len(texts)), settings)
    torch.testing.assert_close(maps.weight[1].data, rotation(2), atol=2e-2, rtol=0)
    path = save(rotating, tmp_path / "r.safetensors", maps.weight.data, maps.bias.data)
    check_rotation(rotating, path, K + 1, "one")


def test_period_is_looked_up(rotating: Any) -> None:
    """The orbit closes after 269 tokens; then the lookup knows everything."""
    sampling = Sampling(max_new_tokens=1 + 4 * 5)
    prompt = (*range(VOCAB), 0, 1, 2)
    request = Request(id="p", prompt=prompt, sampling=sampling)
    (found,) = generate_drafted(rotating, [request], drafter="ngram:tokens=4")
    assert found.num_passes == 1 + 4
    assert list(found.tokens) == list(range(3, 24))
