"""Models of transformers whose layers are steps of a predictor-corrector solver.

Copied into saved folders; `AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)`
finds it there. Stands on torch and transformers alone.
"""

from typing import Any

from transformers import (
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from burnish.models.solver import LayerSolver, SharedSolver, first_history
from burnish.models.solver_config import SolverConfig


class KeptKeys:
    """A cache for evaluations that share the keys and values of the first: it only hands them on.

    Source: ours. Oracle: tests/models/test_remote_code.py::test_transformers_gives_the_same_logits
    """

    def __init__(self, keys: Any, values: Any) -> None:
        self.pair = (keys, values)

    def update(self, *_: Any, **__: Any) -> Any:
        """The first evaluation's keys and values."""
        return self.pair


class Recorder:
    """Notes what attention sees of keys and values; writes them to `cache` if there is one."""

    def __init__(self, cache: Any) -> None:
        self.cache, self.pair = cache, None

    def update(self, keys: Any, values: Any, *rest: Any, **named: Any) -> Any:
        """The keys and values that are seen."""
        self.pair = (keys, values)
        if self.cache is not None:
            self.pair = self.cache.update(keys, values, *rest, **named)
        return self.pair


class Stepping:
    """Makes each layer of a causal language model of transformers a step of the solver.

    Every evaluation has a layer of its own in the cache.
    """

    model: Any  # these three: of the class of transformers that comes next
    config: Any
    training: bool

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # pyright: ignore[reportCallIssue] - of transformers' class
        given = {**config.solver, "orders": tuple(config.solver["orders"])}
        solver = SolverConfig(**given)
        self.model.solver = SharedSolver(solver, config.hidden_size)
        self._history: tuple = ()
        for index, layer in enumerate(self.model.layers):
            layer.solver = LayerSolver(solver, index, config.hidden_size)
            _bind(self, layer, index, solver)

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        **named: Any,
    ) -> Any:
        """As the model of the family; a new cache has a layer for each evaluation."""
        use_cache = named.get("use_cache")
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and past_key_values is None and not self.training:
            past_key_values = DynamicCache()
        family: Any = super()
        return family.forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            **named,
        )

    def _prepare_cache_for_generation(
        self, generation_config: Any, model_kwargs: Any, *rest: Any, **named: Any
    ) -> None:
        if generation_config.use_cache is not False and not model_kwargs.get("past_key_values"):
            model_kwargs["past_key_values"] = DynamicCache()


def _bind(model: Any, layer: Any, index: int, solver: SolverConfig) -> None:
    """Replace a layer's forward by a step of several evaluations."""
    once, place = layer.forward, solver.first_place(index)

    def step(hidden_states: Any, *rest: Any, **named: Any) -> Any:
        if index == 0:
            model._history = first_history(solver, hidden_states)
        cache = named.get("past_key_values")
        recorder: Any = None
        if solver.shared_kv:
            recorder = Recorder(cache)

        def evaluate(number: int, at: Any) -> Any:
            layer.self_attn.layer_idx = place + (0 if solver.shared_kv else number)
            own = dict(named)
            if recorder is not None:
                own["past_key_values"] = recorder if number == 0 else KeptKeys(*recorder.pair)
            output = once(at, *rest, **own)
            return output, output - at

        new, model._history = layer.solver(evaluate, hidden_states, model._history, model_shared())
        return new

    def model_shared() -> SharedSolver:
        return model.model.solver

    layer.forward = step


class PCformerLlamaConfig(LlamaConfig):
    """Llama's, with the solver's settings."""

    model_type = "pcformer_llama"


class PCformerLlamaForCausalLM(Stepping, LlamaForCausalLM):
    """Llama with a solver."""

    config_class = PCformerLlamaConfig


class PCformerMistralConfig(MistralConfig):
    """Mistral's, with the solver's settings."""

    model_type = "pcformer_mistral"


class PCformerMistralForCausalLM(Stepping, MistralForCausalLM):
    """Mistral with a solver."""

    config_class = PCformerMistralConfig


class PCformerQwen2Config(Qwen2Config):
    """Qwen2's, with the solver's settings."""

    model_type = "pcformer_qwen2"


class PCformerQwen2ForCausalLM(Stepping, Qwen2ForCausalLM):
    """Qwen2 with a solver."""

    config_class = PCformerQwen2Config


class PCformerQwen3Config(Qwen3Config):
    """Qwen3's, with the solver's settings."""

    model_type = "pcformer_qwen3"


class PCformerQwen3ForCausalLM(Stepping, Qwen3ForCausalLM):
    """Qwen3 with a solver."""

    config_class = PCformerQwen3Config


class PCformerMixtralConfig(MixtralConfig):
    """Mixtral's, with the solver's settings."""

    model_type = "pcformer_mixtral"


class PCformerMixtralForCausalLM(Stepping, MixtralForCausalLM):
    """Mixtral with a solver."""

    config_class = PCformerMixtralConfig


class PCformerQwen2MoeConfig(Qwen2MoeConfig):
    """Qwen2-MoE's, with the solver's settings."""

    model_type = "pcformer_qwen2_moe"


class PCformerQwen2MoeForCausalLM(Stepping, Qwen2MoeForCausalLM):
    """Qwen2-MoE with a solver."""

    config_class = PCformerQwen2MoeConfig


class PCformerQwen3MoeConfig(Qwen3MoeConfig):
    """Qwen3-MoE's, with the solver's settings."""

    model_type = "pcformer_qwen3_moe"


class PCformerQwen3MoeForCausalLM(Stepping, Qwen3MoeForCausalLM):
    """Qwen3-MoE with a solver."""

    config_class = PCformerQwen3MoeConfig
