"""The network that a run trains: new from a shape, or another model's; and how it is saved."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from burnish.arch.configs import block_of, make_config
from burnish.arch.plan import Shape
from burnish.base.errors import ModelError
from burnish.data.shards import Marks
from burnish.models.config import SOLVER, decoder_config
from burnish.models.decoder import Decoder
from burnish.models.load import Model, load_decoder, read_config, resolve_folder
from burnish.models.save import save_model

INIT_STD = 0.02
PROBE_TOKENS = 24
EXPORT_TOLERANCE = 1e-4


def new_network(shape: Shape, *, context: int, marks: Marks, device: torch.device) -> Decoder:
    """A model of this shape with random weights, from torch's global random stream.

    Normal weights of deviation 0.02, those that end a branch divided by sqrt(2 layers); norms 1; a
    solver's parameters begin as its settings say.
    Source: GPT-2 (Radford et al. 2019, section 2.3).
    Oracle: tests/arch/test_network.py::test_new_weights
    """
    config = make_config(shape, context=context, marks=marks)
    known = decoder_config(config)
    assert known is not None
    network = Decoder(known, config)
    draw_weights(network, known.num_layers)
    return network.to(device).train()


def draw_weights(network: nn.Module, num_layers: int) -> None:
    """Random weights as `new_network` says, for a module of so many layers."""
    for name, parameter in network.named_parameters():
        if SOLVER in name:
            continue
        if name.endswith("norm.weight"):
            nn.init.ones_(parameter)
            continue
        ends = name.endswith(("o_proj.weight", "down_proj.weight", "experts.down_proj"))
        std = INIT_STD / math.sqrt(2 * num_layers) if ends else INIT_STD
        nn.init.normal_(parameter, std=std)


def base_network(spec: str, *, device: torch.device) -> Decoder:
    """The weights of a model in fp32, to be trained on. Raises ModelError for other families."""
    folder = resolve_folder(spec)
    config = read_config(folder)
    if decoder_config(config) is None:
        rule = f"is a {config.model_type}, which only transformers runs"
        remedy = "Name a model of the Llama, Mistral or Qwen families"
        raise ModelError("model", spec, rule, remedy=remedy)
    network = load_decoder(folder, config, torch.float32, device)
    return network.requires_grad_(True).train()


def shape_of(network: Decoder) -> Shape:
    """The widths of a network, as the plan counts them."""
    shape = network.shape
    return Shape(
        num_layers=shape.num_layers,
        width=shape.d_model,
        ffn_width=shape.d_ff,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        vocab=shape.vocab_size,
        tied=shape.tied,
        block=block_of(shape),
    )


def save_network(network: Decoder, tokenizer: Any, folder: Path) -> float:
    """Save as a Hugging Face folder; return the largest difference to transformers' logits.

    Raises ModelError where they differ by more than 1e-4 of their scale: the folder would be
    another model. Raises StorageError.
    Source: ours. Oracle: tests/arch/test_network.py::test_a_wrong_export_is_refused
    """
    place = next(network.parameters()).device
    model = Model(
        spec=str(folder),
        folder=folder,
        network=network.cpu().eval(),
        tokenizer=tokenizer,
        dtype=torch.float32,
        device=torch.device("cpu"),
        eos_ids=frozenset({network.config.eos_token_id}),
        max_position=network.shape.max_position,
    )
    save_model(model, folder)
    difference = export_difference(network, folder)
    network.to(place)
    if not difference <= EXPORT_TOLERANCE:
        rule = "must give the same logits in transformers"
        remedy = "Please report this bug: the written folder differs from the model"
        raise ModelError("saved model", f"a difference of {difference:.2g}", rule, remedy=remedy)
    return difference


def export_difference(network: Decoder, folder: Path) -> float:
    """Largest difference of logits on fixed random tokens, ours and transformers' reading."""
    from transformers import AutoModelForCausalLM

    from burnish.kv.shared import Forest

    source = torch.Generator().manual_seed(0)
    length = min(PROBE_TOKENS, network.shape.max_position)
    tokens = torch.randint(0, network.shape.vocab_size, (length,), generator=source)
    given: dict[str, Any] = {"dtype": torch.float32, "local_files_only": True}
    if network.shape.solver is not None:
        given["trust_remote_code"] = True  # written by `save_model` just now
    other = AutoModelForCausalLM.from_pretrained(folder, **given)
    forest = Forest()
    forest.chain(tokens.tolist())
    with torch.inference_mode():
        ours = network.head(forest.run(network))
        theirs = other(tokens[None]).logits[0]
    return float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1.0))
