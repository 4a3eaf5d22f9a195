"""From one dial to every number of a run, each with its source."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from burnish.arch.blocks import blocks
from burnish.arch.blocks.moe import MoEBlock
from burnish.arch.configs import DENSE, WIDTH_STEP, shape_config
from burnish.arch.settings import OWN, PretrainSettings, parse_count
from burnish.base.errors import InputError, SettingError
from burnish.base.files import read_json
from burnish.contracts.training_plan import read_plan as read_training_plan
from burnish.models.count import ConventionCount, LayerShape, count, count_under

ASPECT, STEP_WIDTH, STEP_FFN = 64, 32, 16
DEFAULT_PARAMS, DEFAULT_CONTEXT = 3e6, 512
EMBEDDING_SHARE = 0.2
LEAST_VOCAB = 320
TOKENS_A_PARAM = 20
MOST_RATE = 1e-2
PLAN_KEYS = ("n", "d", "batch_tokens", "lr", "steps")
PREDICTED = ("n_total", "experts", "top_k", "train_flops", "loss", "loss_low", "loss_high")

WITHOUT_EMBEDDING = ("non-embedding", "kaplan", "deepseek", "with-router")

GIVEN, FILE = "given", "plan file"
RULES = {
    "shape": "ours: 64 wide a layer (nanochat's rule), feed-forward fitted to the parameters",
    "vocab": "ours: the embedding takes about a fifth of the parameters, in steps of 64",
    "context": "ours: 512, or the largest power of two that the corpus fills",
    "batch_tokens": "Step Law, arXiv 2503.04715: 0.58 D^0.571 tokens, in whole windows",
    "learning_rate": "Step Law, arXiv 2503.04715: 1.79 N^-0.713 D^0.307, at most 0.01",
    "tokens": "20 tokens per parameter, arXiv 2203.15556",
    "steps": "the budget of tokens in whole steps",
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Widths of a decoder; `vocab` counts special tokens too.

    `ffn_width` is that of all experts of a layer together, where `block` has experts.
    """

    num_layers: int
    width: int
    ffn_width: int
    num_heads: int
    num_kv_heads: int
    vocab: int
    tied: bool = True
    block: str = DENSE

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.width // self.num_heads

    @property
    def num_params(self) -> int:
        """All parameters; models/count.py gives the same number.

        Source: ours. Oracle: tests/arch/test_plan.py::test_params_are_those_of_the_counter
        """
        if self.block != DENSE:
            return count(shape_config(self)).num_params
        return self.num_block_params + self.width + self.vocab * self.width * (2 - self.tied)

    @property
    def num_block_params(self) -> int:
        """Parameters of the layers, as if their block were dense."""
        keys = self.num_kv_heads * self.head_dim
        products = self.width * (2 * self.width + 2 * keys + 3 * self.ffn_width)
        return self.num_layers * (products + 2 * self.width)

    def counted(self, convention: str, *, context: int) -> ConventionCount:
        """Active and stored parameters under one of the counter's conventions.

        Source: ours. Oracle: tests/arch/test_plan.py::test_the_dial_hits_every_convention
        """
        config = shape_config(self)
        experts = config.experts
        shape = LayerShape(
            d_model=self.width, num_layers=config.num_layers, d_ff=self.ffn_width,
            num_heads=self.num_heads, num_kv_heads=self.num_kv_heads, head_dim=self.head_dim,
            vocab_size=self.vocab, seq_tokens=context, tied=self.tied,
            num_dense_layers=None if experts is None else 0,
            num_experts=1 if experts is None else experts.num_experts,
            top_k=1 if experts is None else experts.top_k,
            expert_ff=0 if experts is None else experts.d_expert,
            shared_ff=0 if experts is None else experts.d_shared,
        )  # fmt: skip
        return count_under(shape, convention)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The numbers of a run, and the source of each."""

    values: Mapping[str, Any]
    sources: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Both, as JSON."""
        return {"values": dict(self.values), "sources": dict(self.sources)}


def planned_settings(settings: PretrainSettings, path: Path) -> PretrainSettings:
    """Settings completed by a plan file; explicit settings win over the file.

    The file is `scaling plan`'s (or a run folder of it), or JSON with any of n, d, batch_tokens,
    lr and steps. Raises as `read_plan`; SettingError for a block that the file contradicts.
    Source: ours. Oracle: tests/arch/test_plan.py::test_files_of_scaling_plan
    """
    path = path / "plan.json" if path.is_dir() else path
    told = read_json(path)
    if not (isinstance(told, dict) and "schema" in told):
        return replace(settings, planned=read_plan(path))
    plan = read_training_plan(path)
    planned = {"n": plan.n, "d": plan.d_tokens, "batch_tokens": plan.batch_tokens, "lr": plan.lr}
    planned["steps"] = float(plan.num_steps)
    known = {name: getattr(plan, name) for name in PREDICTED}
    planned |= {name: float(value) for name, value in known.items() if value is not None}
    block = f"moe:experts={plan.experts},top_k={plan.top_k}" if plan.experts > 1 else DENSE
    if settings.block not in (DENSE, block):
        rule = f"must equal the plan's, {block!r}"
        raise SettingError("block", settings.block, rule, remedy="Leave it out")
    return replace(settings, planned=planned, planned_counts=plan.counts, block=block)


def read_plan(path: Path) -> dict[str, float]:
    """What a plan file says: any of n, d, batch_tokens, lr and steps; other keys are left alone.

    Raises InputError for a file without one of them, or with what is no positive number.
    Source: ours. Oracle: tests/arch/test_plan.py::test_plan_files
    """
    told = read_json(path)
    known = {k: told[k] for k in PLAN_KEYS if k in told} if isinstance(told, dict) else {}
    if not known:
        rule, remedy = f"must contain one of {', '.join(PLAN_KEYS)}", "Write it with scaling plan"
        raise InputError("plan file", str(path), rule, remedy=remedy)
    for name, value in known.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            rule, remedy = f"must contain a positive number as {name}", "Correct the file"
            raise InputError(f"plan file {path}", value, rule, remedy=remedy)
    return {name: float(value) for name, value in known.items()}


def choose_vocab(settings: PretrainSettings) -> int:
    """Vocabulary of a new tokenizer: as given, else by the size of the model."""
    if settings.vocab is not None:
        return settings.vocab
    params = _wanted_params(settings)
    if params is None:
        depth = settings.depth or 4
        params = 12 * depth * (ASPECT * depth) ** 2 / (1 - EMBEDDING_SHARE)
    elif _counts_as_planned(settings) and settings.planned_counts in WITHOUT_EMBEDDING:
        params /= 1 - EMBEDDING_SHARE
    depth = (params * (1 - EMBEDDING_SHARE) / (12 * ASPECT**2)) ** (1 / 3)
    width = settings.width or max(STEP_WIDTH, ASPECT * depth)
    return max(LEAST_VOCAB, round(EMBEDDING_SHARE * params / width / 64) * 64)


def choose_shape(settings: PretrainSettings, vocab: int) -> Shape:
    """Widths of the model for a dial and a vocabulary: those of a dense one, for every block.

    `depth`: 64 wide a layer, heads of 64 (32 below a width of 256). `params`: the depth whose width
    is nearest to 64 a layer, then the feed-forward that comes nearest to the number.
    Raises SettingError for widths that do not divide into heads, or too few parameters.
    Source: ours; the aspect is that of nanochat (github.com/karpathy/nanochat).
    Oracle: tests/arch/test_plan.py::test_the_dial_hits_the_parameters
    """
    return replace(_choose_dense(settings, vocab), block=settings.block)


def _choose_dense(settings: PretrainSettings, vocab: int) -> Shape:
    wanted = _wanted_params(settings)
    if wanted is None or settings.depth is not None:
        depth = settings.depth or 4
        return _shape(settings, vocab, depth, settings.width or ASPECT * depth)
    best, least = None, math.inf
    for depth in range(1, 129):
        width = settings.width or _width_for(settings, vocab, depth, wanted)
        if settings.width is None and width < STEP_WIDTH:
            break
        shape = _fitted(settings, _shape(settings, vocab, depth, width), wanted)
        aspect = abs(math.log(shape.width / (ASPECT * shape.num_layers)))
        badness = aspect + 10 * abs(math.log(_size(settings, shape) / wanted))
        if badness < least:
            best, least = shape, badness
    if best is None:
        rule = f"must leave parameters for layers in addition to {vocab} embeddings of {STEP_WIDTH}"
        raise SettingError("params", settings.params, rule, remedy="Raise it, or lower vocab")
    return best


def choose_run(
    settings: PretrainSettings, shape: Shape, *, num_tokens: float, context: int
) -> Chosen:
    """Batch, rate and steps for a budget of `num_tokens`, and their sources.

    Source: the rules that `RULES` names. Oracle: tests/arch/test_plan.py::test_step_law_by_hand
    """
    told = settings.planned or {}
    given: dict[str, Any] = {
        "batch_tokens": settings.batch_tokens,
        "learning_rate": settings.learning_rate,
        "steps": settings.steps,
    }
    filed = {"batch_tokens": told.get("batch_tokens"), "learning_rate": told.get("lr")}
    own_budget = settings.tokens is not None or settings.minutes is not None
    own_budget |= settings.batch_tokens is not None and "d" in told  # the file's tokens count
    filed["steps"] = None if own_budget else told.get("steps")
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def choose(name: str, rule: float) -> float:
        picked = next((v for v in (given[name], filed[name]) if v is not None), rule)
        ours = FILE if given[name] is None and filed[name] is not None else RULES[name]
        sources[name] = GIVEN if given[name] is not None else ours
        return picked

    batch = choose("batch_tokens", 0.58 * num_tokens**0.571)
    windows = max(1, round(batch / context))
    values["batch_tokens"] = windows * context
    rate = 1.79 * max(shape.num_block_params, 1) ** -0.713 * num_tokens**0.307
    values["learning_rate"] = choose("learning_rate", float(f"{min(rate, MOST_RATE):.3g}"))
    values["steps"] = int(choose("steps", num_tokens // values["batch_tokens"]))
    if values["steps"] < 1:
        got = f"{num_tokens:.0f} tokens"
        rule = f"must be enough for one step of {values['batch_tokens']} tokens"
        raise SettingError("budget", got, rule, remedy="Raise --tokens or --minutes")
    values["tokens"] = values["steps"] * values["batch_tokens"]
    return Chosen(values=values, sources=sources)


def choose_context(settings: PretrainSettings, *, num_tokens: int, smallest_part: int) -> int:
    """Tokens of a window: what is given, or as many as the corpus fills.

    Raises InputError for a corpus that does not fill a given window.
    Source: ours. Oracle: tests/arch/test_plan.py::test_a_corpus_smaller_than_the_context
    """
    largest = smallest_part - 1
    fitting = 1 << max(0, largest.bit_length() - 1)
    if settings.context is None:
        return max(1, min(DEFAULT_CONTEXT, fitting))
    if settings.context > largest:
        got = f"{num_tokens} training tokens"
        if smallest_part != num_tokens:
            got += f", {smallest_part} of the smallest part"
        rule = f"must fill one window of {settings.context} tokens and one token more"
        raise InputError("corpus", got, rule, remedy=f"Add text, or --set context={fitting}")
    return settings.context


def budget_tokens(settings: PretrainSettings, shape: Shape) -> tuple[float | None, str]:
    """Tokens to train on where no clock decides, and the source; None where one does."""
    told = settings.planned or {}
    if settings.tokens is not None:
        return parse_count("tokens", settings.tokens), GIVEN
    if settings.minutes is not None:
        return None, GIVEN
    if "d" in told:
        return told["d"], FILE
    active = shape.counted("all", context=0).n_active
    return float(TOKENS_A_PARAM * active), RULES["tokens"]


def _wanted_params(settings: PretrainSettings) -> float | None:
    told = settings.planned or {}
    if settings.params is not None:
        return parse_count("params", settings.params)
    if "n" in told:
        return told["n"]
    return DEFAULT_PARAMS if settings.depth is None else None


def _shape(settings: PretrainSettings, vocab: int, depth: int, width: int) -> Shape:
    heads = settings.num_heads or max(1, width // (64 if width >= 256 else 32))
    kv_heads = settings.num_kv_heads or heads
    if width % heads or heads % kv_heads or (width // heads) % 2:
        got = f"width {width}, {heads} heads, {kv_heads} key heads"
        rule = "must divide: width by heads (evenly into pairs), heads by key heads"
        raise SettingError("shape", got, rule, remedy="Set width, num_heads and num_kv_heads")
    num_experts, top_k = _experts(settings)
    step = WIDTH_STEP * num_experts if num_experts > 1 else STEP_FFN
    ffn = settings.ffn_width or _whole_ffn(8 / 3 * width * num_experts / top_k, step)
    return Shape(
        num_layers=depth,
        width=width,
        ffn_width=ffn,
        num_heads=heads,
        num_kv_heads=kv_heads,
        vocab=vocab,
        tied=settings.tied,
        block=settings.block if num_experts > 1 else DENSE,
    )


def _experts(settings: PretrainSettings) -> tuple[int, int]:
    """Experts of each layer, and how many of them a token uses, of a planned mixture; else 1, 1."""
    block = blocks.parse(settings.block)
    if not isinstance(block, MoEBlock) or not _counts_as_planned(settings):
        return 1, 1
    return block.experts, block.top_k


def _size(settings: PretrainSettings, shape: Shape) -> int:
    """What the dial counts: all parameters, or active ones by a plan file's convention."""
    if not _counts_as_planned(settings):
        return shape.num_params
    context = settings.context or DEFAULT_CONTEXT
    return shape.counted(settings.planned_counts, context=context).n_active


def _counts_as_planned(settings: PretrainSettings) -> bool:
    return settings.params is None and "n" in (settings.planned or {})


def _width_for(settings: PretrainSettings, vocab: int, depth: int, wanted: float) -> int:
    """Width at which about 12 d^2 a layer and what else is counted make the wanted number."""
    probe = _shape(settings, vocab, depth, STEP_WIDTH)
    beside = _size(settings, probe) - _size(settings, replace(probe, vocab=0))
    linear = beside / STEP_WIDTH
    square = 12 * depth
    width = (-linear + math.sqrt(linear**2 + 4 * square * wanted)) / (2 * square)
    step = STEP_WIDTH if width < 256 else 64
    return round(width / step) * step


def _fitted(settings: PretrainSettings, shape: Shape, wanted: float) -> Shape:
    """The shape with the feed-forward that comes nearest to the wanted parameters."""
    if settings.ffn_width is not None:
        return shape
    num_experts, top_k = _experts(settings)
    step = WIDTH_STEP * num_experts if num_experts > 1 else STEP_FFN
    wider = replace(shape, ffn_width=shape.ffn_width + step)
    slope = (_size(settings, wider) - _size(settings, shape)) / step
    missing = (wanted - _size(settings, shape)) / slope
    ffn = _whole_ffn(shape.ffn_width + missing, step)
    least, most = (
        _whole_ffn(share * shape.width * num_experts / top_k, step if num_experts > 1 else 1)
        for share in (1, 5)
    )
    return replace(shape, ffn_width=min(max(ffn, least), most))


def _whole_ffn(width: float, step: int) -> int:
    return max(step, round(width / step) * step)


def is_own(settings: PretrainSettings) -> bool:
    """Whether the run makes a tokenizer."""
    return settings.base is None and settings.tokenizer == OWN
