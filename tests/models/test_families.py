"""Every family that people bring: greedy tokens as transformers', and one step of `prefer train`.

`burnish generate` reads the folder as a user gives it; the trained model is read back.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import ADAPTED, DECODERS, FAMILIES, texts

from burnish.base.meter import Meter
from burnish.contracts.generation import Request, Sampling
from burnish.engine import generate as engine
from burnish.models.load import load_model

NUM_TOKENS = 9
ROWS = [
    {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    for prompt, chosen, rejected in [
        ("ab in", "the abc", "on"), ("he er", "12 the abc", "t"), ("q", "one", "two abc"),
        ("w", "aba", "12"), ("e", "on", "in the"), ("r", "ab", "cd"),
    ]
]  # fmt: skip
ALL = sorted({*DECODERS, *ADAPTED, *FAMILIES})
TRAINED = ("gemma2-capped", "gemma3", "gpt-neox", "gpt2", "llama-biased", "mamba", "mistral",
           "mixtral", "opt", "phi3", "qwen2-moe", "qwen2-sliding", "qwen3")  # fmt: skip


def check_tokens(family: str, model: Any, reference: Any) -> None:
    """Texts from one token to past every window: the same greedy tokens, each by itself."""
    sampling = Sampling(max_new_tokens=NUM_TOKENS, temperature=0.0)
    prompts = texts([13, 1, 47])
    requests = [Request(id=str(i), prompt=tuple(p), sampling=sampling)
                for i, p in enumerate(prompts)]  # fmt: skip
    for done, prompt in zip(engine.generate(model, requests), prompts, strict=True):
        assert list(done.tokens) == greedy(reference, prompt), family


def greedy(reference: Any, prompt: Sequence[int]) -> list[int]:
    """Transformers' own loop, its cache included, without the end token."""
    given = torch.tensor([list(prompt)])
    out = reference.generate(given, max_new_tokens=NUM_TOKENS, do_sample=False, pad_token_id=0)
    written = out[0, len(prompt) :].tolist()
    return written[:-1] if written[-1] == reference.generation_config.eos_token_id else written


@pytest.mark.parametrize("family", ALL)
def test_greedy_tokens_are_those_of_transformers(
    family: str, tiny_model: Any, tiny_reference: Any
) -> None:
    check_tokens(family, tiny_model(family), tiny_reference(family))


def test_planted_windows_ignored(tiny_folder: Any, tiny_reference: Any) -> None:
    model = load_model(str(tiny_folder("gemma3")), precision="fp32")
    for layer in model.network.network.model.layers:
        layer.self_attn.sliding_window = None
        layer.self_attn.layer_type = "full_attention"
    model.config.layer_types[:] = ["full_attention"] * len(model.config.layer_types)
    with pytest.raises(AssertionError):
        check_tokens("gemma3", model, tiny_reference("gemma3"))


@pytest.mark.parametrize("family", TRAINED)
def test_preferences_train_and_the_model_is_read_back(
    family: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """What `burnish prefer train` does but for its page: read, align, merge, save."""
    from burnish.base.settings import load_settings
    from burnish.models.save import save_model
    from burnish.prefer.reading import read_pairs
    from burnish.prefer.settings import PreferSettings
    from burnish.prefer.training import align
    from burnish.recipes.teaching import merged

    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("\n".join(map(json.dumps, ROWS)))
    said = ["evaluate.max_new_tokens=2", "pairs.heldout_frac=0.3", "train.num_steps=1",
            "train.learning_rate=0.01"]  # fmt: skip
    settings = load_settings(PreferSettings, overrides=said)
    before, model = (load_model(str(tiny_folder(family)), precision="fp32") for _ in "12")
    found = read_pairs(pairs, model, settings.pairs)
    told = {"event": lambda name, **said: None, "meter": Meter("prefer")}
    aligned = align(model, found, settings, folder=tmp_path, **told)
    saved = save_model(merged(model, aligned.fitted), tmp_path / "model")
    after = load_model(str(saved), precision="fp32")
    first = dict(before.network.named_parameters())
    second = dict(after.network.named_parameters())
    assert first.keys() == second.keys()
    changed = [name for name in first if not torch.equal(first[name], second[name])]
    assert changed and all(parameter.isfinite().all() for parameter in second.values())
