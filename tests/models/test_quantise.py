"""Quantised models against the same model with the numbers that the blocks stand for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import make_tokenizer, reference_logits, texts
from torch import Tensor

from burnish.base.errors import ModelError, SettingError
from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
from burnish.engine.session import open_session
from burnish.kernels import ops, tiles
from burnish.kernels.build import Built
from burnish.kernels.quantised import Blocks, dequantise, quantise
from burnish.models import precision as precision_module
from burnish.models.load import Model, load_model
from burnish.models.precision import trainable_precision
from burnish.models.quantise import BLOCKS_FILE, read_blocks
from burnish.models.save import save_model

pytestmark = pytest.mark.skipif(
    not ops.usable(torch.zeros(1)), reason="needs a C compiler for burnish's kernels"
)

EXPERTS = {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
KINDS = {
    "llama": {"tie_word_embeddings": True},
    "qwen2": {"tie_word_embeddings": False},
    "qwen2_moe": {"shared_expert_intermediate_size": 32, "tie_word_embeddings": True, **EXPERTS},
}


def make_reference(kind: str) -> Any:
    """Whole blocks of 32 in every row; biases in Qwen2."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(7)
    config = AutoConfig.for_model(
        kind, vocab_size=269, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3, **KINDS[kind],
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(params=list(KINDS))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make_reference(request.param).save_pretrained(tmp_path / request.param)
    make_tokenizer().save_pretrained(tmp_path / request.param)
    return tmp_path / request.param


def rounded_reference(folder: Path, bits: int) -> Any:
    """transformers' model with every matrix replaced by what its blocks stand for."""
    reference = make_reference(folder.name)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if parameter.dim() == 3:  # experts, each by itself
                for expert in parameter:
                    expert.copy_(dequantise(quantise(expert, bits)))
            elif parameter.dim() == 2 and ".mlp.gate." not in name and "_gate." not in name:
                wanted = 8 if "embed_tokens" in name or "lm_head" in name else bits
                parameter.copy_(dequantise(quantise(parameter, wanted)))
    return reference


def logits_of(model: Model, tokens: list[int]) -> Tensor:
    """Logits of every position through prefill and steps."""
    session = open_session(model, num_slots=1, capacity_tokens=len(tokens))
    rows = [session.prefill([0], [tokens[:1]])[0]]
    rows += [session.step([token])[0] for token in tokens[1:]]
    return torch.stack(rows)


@pytest.fixture
def no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without products of bf16 pairs: rows are taken as they are."""
    monkeypatch.setattr(tiles, "usable", lambda bits: False)


def check_close(model: Model, reference: Any, tokens: list[int]) -> None:
    """To rounding; in tiles rows are rounded to bf16 before each product."""
    wanted, found = reference_logits(reference, tokens), logits_of(model, tokens)
    if tiles.usable(4):
        assert (found - wanted).norm() < 0.03 * wanted.norm()
    else:
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def check_logits(folder: Path, bits: int) -> None:
    model = load_model(str(folder), precision=f"int{bits}")
    reference = rounded_reference(folder, bits)
    for tokens in texts([19, 1]):
        check_close(model, reference, tokens)


@pytest.mark.parametrize("bits", [4, 8])
def test_logits_equal_the_whole_blocks(folder: Path, bits: int) -> None:
    check_logits(folder, bits)


@pytest.mark.parametrize("bits", [4, 8])
def test_logits_equal_the_whole_blocks_without_tiles(
    folder: Path, bits: int, no_tiles: None
) -> None:
    check_logits(folder, bits)


def test_planted_blocks_without_least(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(weight: Tensor, bits: int) -> Blocks:
        blocks = quantise(weight, bits)
        if bits == 4:
            blocks.data.unflatten(1, (-1, 20))[..., 2:4] = 0
        return blocks

    monkeypatch.setattr("burnish.models.quantise.quantise", without)
    with pytest.raises(AssertionError):
        check_logits(folder, 4)


@pytest.mark.parametrize("bits", [4, 8])
def test_text_alone_equals_text_in_a_batch(folder: Path, bits: int) -> None:
    model = load_model(str(folder), precision=f"int{bits}")
    requests = [
        Request(
            id=str(index),
            prompt=tuple(tokens),
            sampling=Sampling(max_new_tokens=9, seed=index, temperature=index % 2),
        )
        for index, tokens in enumerate(texts())
    ]
    together = generate(model, requests, batch_size=4)
    assert together == [generate(model, [one])[0] for one in requests]


def test_weights_are_a_fraction(folder: Path) -> None:
    model = load_model(str(folder), precision="int4")
    left = sum(p.numel() for p in model.network.parameters())
    assert left < 2000  # norms and biases; the matrices are blocks
    assert model.network.bits == 4


def test_it_is_neither_saved_nor_trained(folder: Path, tmp_path: Path) -> None:
    model = load_model(str(folder), precision="int8")
    for refused in (
        lambda: save_model(model, tmp_path / "saved"),
        model.network.unfuse,
        model.network.fuse,
    ):
        with pytest.raises(ModelError, match="must be fp32 or bf16"):
            refused()
    assert not (tmp_path / "saved").exists()
    assert trainable_precision("int8") == "auto" and trainable_precision("bf16") == "bf16"


def test_some_outputs_of_the_head(folder: Path) -> None:
    chosen = torch.tensor([7, 0, 200])
    for precision in ("int4", "fp32", "bf16"):
        head = load_model(str(folder), precision=precision).network.lm_head
        rows = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
        rows = rows.bfloat16() if precision == "bf16" else rows
        with torch.inference_mode():
            torch.testing.assert_close(head.narrowed(chosen)(rows), head(rows)[:, chosen])


def test_without_kernels_it_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Built(library=None, reason="no C compiler (cc) was found")
    monkeypatch.setattr(precision_module, "build", lambda: gone)
    with pytest.raises(SettingError, match="no C compiler"):
        load_model(str(folder), precision="int4")


def test_widths_that_are_no_whole_blocks_are_refused(tiny_folder: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="must be a multiple of 32"):
        load_model(str(tiny_folder("llama")), precision="int8")
    with pytest.raises(ModelError, match="cannot use burnish's quantised"):
        load_model(str(tiny_folder("gpt2")), precision="int8")


def test_a_gguf_files_own_blocks_are_used(tmp_path: Path) -> None:
    import gguf
    from safetensors.torch import save_file

    reference = make_reference("llama")
    reference.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    own = {
        f"{name}/{4 if 'layers' in name else 8}": torch.from_numpy(
            gguf.quants.quantize(
                parameter.detach().numpy() + 0.01,  # other numbers than the folder's
                gguf.GGMLQuantizationType.Q4_1
                if "layers" in name
                else gguf.GGMLQuantizationType.Q8_0,
            )
        )
        for name, parameter in reference.named_parameters()
        if parameter.dim() == 2
    }
    save_file(own, tmp_path / BLOCKS_FILE)
    assert len(read_blocks(tmp_path)) == len(own)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            for bits in (4, 8):
                if f"{name}/{bits}" in own:
                    parameter.copy_(dequantise(Blocks(data=own[f"{name}/{bits}"], bits=bits)))
    model = load_model(str(tmp_path), precision="int4")
    check_close(model, reference, texts()[0])
