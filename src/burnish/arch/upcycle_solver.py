"""Any model of our decoder as a predictor-corrector model that starts exactly equal."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from burnish.arch.blocks.pcformer import PCformerBlock
from burnish.arch.configs import solver_dict
from burnish.arch.upcycle_experts import Upcycled, logit_difference
from burnish.base.errors import ModelError
from burnish.models.config import SOLVER, DecoderConfig, decoder_config
from burnish.models.count import count
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.models.quick import whole_config
from burnish.models.solver import LayerSolver, SharedSolver


def upcycle_solver(model: Model, block: PCformerBlock) -> Upcycled:
    """Give each layer a solver, blended in from `beta` (0 by default); weights are shared.

    At beta 0 a layer is `plain + 0 * (solver - plain)`, the plain layer to the last bit, and what
    beta learns first is whether to leave it. `model` is only unfused.
    Raises ModelError for models that our decoder does not run, or that have a solver.
    Source: ours, after function-preserving growth (Net2Net, arXiv 1511.05641).
    Oracle: tests/arch/test_upcycle_solver.py::test_beta_zero_is_the_same_model
    """
    plain = model.network
    if not isinstance(plain, Decoder) or plain.shape.solver is not None or plain.bits is not None:
        rule = "must be of the Llama, Mistral or Qwen families, without a solver"
        raise ModelError("model", model.spec, rule, remedy="Name another model")
    plain.unfuse()
    config = _with_solver(plain.config, block, plain.shape.num_layers)
    shape = decoder_config(config)
    assert shape is not None and shape.solver is not None
    with torch.device("meta"):
        network = Decoder(shape, config)
    like = plain.model.embed_tokens.weight
    fresh = {n: t.to(like.device, like.dtype) for n, t in fresh_solver(shape).items()}
    network.load_state_dict({**plain.state_dict(), **fresh}, assign=True)
    network.tie_weights()
    network.requires_grad_(False).eval()
    counted = count(shape)
    facts = {
        "family": shape.family,
        "evaluations_per_layer": counted.evaluations_per_layer,
        "beta": shape.solver.beta,
        "num_params": counted.num_params,
        "num_active_params": counted.num_active_params,
        "plain_params": count(plain.shape).num_params,
        "flops_per_token": counted.flops_per_token,
        "kv_bytes_per_token": counted.kv_bytes_per_token(like.element_size()),
        "logit_difference": logit_difference(plain, network),
    }
    return Upcycled(model=replace(model, network=network), facts=facts)


def fresh_solver(shape: DecoderConfig) -> dict[str, Tensor]:
    """The solver's initial parameters, by their names in a checkpoint."""
    solver = shape.solver
    assert solver is not None
    parts: dict[str, Any] = {"model.solver": SharedSolver(solver, shape.d_model)}
    for layer in range(shape.num_layers):
        parts[f"model.layers.{layer}.solver"] = LayerSolver(solver, layer, shape.d_model)
    return {
        f"{place}.{name}": value.detach()
        for place, part in parts.items()
        for name, value in part.state_dict().items()
    }


def _with_solver(config: Any, block: PCformerBlock, num_layers: int) -> Any:
    plain = whole_config(config)
    given = solver_dict(block.solver(num_layers, beta=0.0))
    return type(plain).from_dict(plain.to_dict() | {SOLVER: given})
