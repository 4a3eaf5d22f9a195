"""Train a drafter's maps by self-distillation: ridge start, then KL; the backbone stays frozen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.contracts.drafter import Riders
from burnish.draft.guesses import Places, ends_of, firp_states, tokens_of
from burnish.draft.maps import Kind, medusa_states
from burnish.draft.streams import Streams
from burnish.models.decoder import Decoder
from burnish.train.hooks import Hook
from burnish.train.loop import run_training
from burnish.train.optim import AdamW
from burnish.train.schedule import Cosine
from burnish.train.steps import Batch, IndexedSteps, Microbatch
from burnish.train.trainer import Training

SAVE_EVERY_STEPS = 20
CHUNK_ROWS = 8192  # of the sums of `ridge`


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How maps are trained.

    `entries`: the layer whose input offset i predicts (0-based); ignored by `medusa`. `start`:
    `ridge` in closed form, or `zero`. A step takes `texts_per_step` texts with up to
    `anchors_per_text` anchors each; offset i weighs `decay**(i - 1)`.
    Source: FIRP's own settings are unknown; learning rate, heads and epochs are those of Medusa-1
    (arXiv 2401.10774); the rest is ours.
    """

    kind: Kind = "firp"
    entries: tuple[int, ...] = (20, 20, 20)
    source: Literal["anchor", "previous"] = "anchor"
    knows_next: bool = False
    cross: bool = True
    start: Literal["ridge", "zero"] = "ridge"
    penalty: float = 1e-3
    epochs: int = 2
    learning_rate: float = 1e-3
    decay: float = 0.8
    texts_per_step: int = 8
    anchors_per_text: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.entries or list(self.entries) != sorted(self.entries) or self.entries[0] < 1:
            rule, remedy = "must be layers from 1 on, in rising order", "For example [20,20,20]"
            raise SettingError("entries", self.entries, rule, remedy=remedy)
        if self.epochs < 0 or self.texts_per_step < 1 or self.anchors_per_text < 1:
            rule, remedy = "must not be negative", "0 keeps the ridge start"
            raise SettingError("epochs", self.epochs, rule, remedy=remedy)


class MapsModule(nn.Module):
    """The only parameters that are trained."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())


def start_maps(
    decoder: Decoder, streams: Streams, texts: Sequence[int], settings: FitSettings
) -> MapsModule:
    """Zero, or the ridge regression of each offset's stream on the anchor's.

    Medusa's heads start at zero, which is the last state itself, as in its code.
    Source: ours. Oracle: tests/draft/test_ridge.py::test_ridge_equals_lstsq
    """
    size = decoder.shape.d_model
    num, width = len(settings.entries), size * (2 if settings.knows_next else 1)
    weight, bias = torch.zeros(num, size, width), torch.zeros(num, size)
    if settings.kind == "medusa" or settings.start == "zero":
        return MapsModule(weight, bias)
    anchors = torch.cat([torch.tensor(list(streams.anchors(i))) for i in texts])
    ends = [*streams.begins, len(streams.final)][1:]
    counts = torch.tensor([len(streams.anchors(i)) for i in texts])
    ends = torch.tensor([ends[i] for i in texts]).repeat_interleave(counts)
    after = None
    if settings.knows_next:
        with torch.no_grad():
            known = tokens_of(streams)[anchors + 1].to(next(decoder.parameters()).device)
            after = decoder.model.embed_tokens(known).float().cpu()
    for offset, layer in enumerate(settings.entries):
        back = 0 if settings.source == "anchor" else offset
        here = anchors + offset + 1 < ends
        rows = streams.layers[layer]
        features = rows[anchors[here] + back].float()
        if after is not None:
            features = torch.cat((features, after[here]), dim=-1)
        target = rows[anchors[here] + offset + 1].float()
        weight[offset], bias[offset] = ridge(features, target, penalty=settings.penalty)
    return MapsModule(weight, bias)


def fit_maps(
    decoder: Decoder,
    head: Float[Tensor, "V d"],
    streams: Streams,
    texts: Sequence[int],
    settings: FitSettings,
    *,
    folder: Path,
    hooks: Sequence[Hook] = (),
) -> MapsModule:
    """Train maps on the one training loop; repeated after an interruption, it resumes exactly.

    A step is one pass, whose loss is a mean already.
    Raises IncompleteError when the loss stops being finite.
    Source: ours (the paper's loss is unknown): KL to the frozen model's own distribution.
    Oracle: tests/draft/test_fit.py::test_resumed_equals_straight
    """
    maps = start_maps(decoder, streams, texts, settings).to(head.device)

    def objective(maps: MapsModule, items: Sequence[Places], /, *, weight: float = 1.0) -> Any:
        (places,) = items
        return weight * distillation_loss(decoder, head, maps, streams, places, settings)

    def make(step: int) -> Batch:
        places = _sample(streams, texts, settings, step)
        num_rows = sum(map(len, places.rows))
        return Batch(passes=[Microbatch(items=[places], num_terms=1, num_rows=num_rows)])

    num_steps = settings.epochs * (-(-len(texts) // settings.texts_per_step))
    training = Training(
        network=maps,
        objective=objective,
        source=IndexedSteps(num_steps, make),
        optimizer=AdamW(learning_rate=settings.learning_rate, fused=False),
        schedule=Cosine(),
        max_grad_norm=math.inf,
        save_every_steps=SAVE_EVERY_STEPS,
        label="draft",
    )
    run_training(training, checkpoint=folder / "draft-state.pt", hooks=hooks)
    return maps


def _sample(streams: Streams, texts: Sequence[int], settings: FitSettings, step: int) -> Places:
    """The texts and anchors of a step: each epoch is an order of its own."""
    per_epoch = -(-len(texts) // settings.texts_per_step)
    epoch, place = divmod(step, per_epoch)
    order = stream(settings.seed, "draft", "epoch", epoch).permutation(len(texts))
    some = order[place * settings.texts_per_step :][: settings.texts_per_step]
    chosen, rows = [], []
    for index in (texts[i] for i in some):
        anchors = list(streams.anchors(index))
        if not anchors:
            continue
        rng = stream(settings.seed, "draft", "anchors", epoch, index)
        size = min(settings.anchors_per_text, len(anchors))
        picked = rng.choice(len(anchors), size, replace=False)
        chosen.append(index)
        rows.append(torch.tensor(sorted(anchors[i] for i in picked)))
    return Places(texts=chosen, rows=rows)


def distillation_loss(
    decoder: Decoder,
    head: Float[Tensor, "V d"],
    maps: MapsModule,
    streams: Streams,
    places: Places,
    settings: FitSettings,
) -> Float[Tensor, ""]:
    """Weighted mean KL [nats] from the real distribution at anchor + i to the guessed one.

    Both are over the draft vocabulary, and offset i counts `decay**(i - 1)`.
    Source: ours. Oracle: tests/draft/test_fit.py::test_loss_equals_the_definition
    """
    weight, bias = maps.weight.to(head.dtype), maps.bias.to(head.dtype)
    flat = places.flat
    if settings.kind == "medusa":
        states = medusa_states(streams.final[flat].to(head), weight, bias)
    else:
        riders = Riders(
            entries=settings.entries, weight=weight, bias=bias, source=settings.source,
            knows_next=settings.knows_next, cross=settings.cross, passes="two",
        )  # fmt: skip
        states = firp_states(decoder, riders, streams, places)
    ends, total, mass = ends_of(streams, places), head.new_zeros((), dtype=torch.float), 0.0
    for offset in range(len(states)):
        here = flat + offset + 1 < ends
        with torch.no_grad():
            real = (streams.final[flat[here] + offset + 1].to(head) @ head.T).float()
        guessed = (states[offset][here.to(head.device)] @ head.T).float().log_softmax(-1)
        divergence = nn.functional.kl_div(
            guessed, real.log_softmax(-1), log_target=True, reduction="sum"
        )
        total = total + settings.decay**offset * divergence
        mass += settings.decay**offset * int(here.sum())
    return total / max(mass, 1.0)


def ridge(
    features: Float[Tensor, "N d"], targets: Float[Tensor, "N e"], *, penalty: float = 1e-3
) -> tuple[Float[Tensor, "e d"], Float[Tensor, " e"]]:
    """Weight and bias that minimise squared error plus `penalty` times the features' mean variance.

    The bias is not penalised. Sums run in double precision, chunk by chunk.
    Source: Hoerl and Kennard 1970. Oracle: tests/draft/test_ridge.py::test_ridge_equals_lstsq
    """
    num, size = features.shape
    means = features.double().mean(0), targets.double().mean(0)
    square = torch.zeros(size, size, dtype=torch.double)
    cross = torch.zeros(size, targets.shape[1], dtype=torch.double)
    for start in range(0, num, CHUNK_ROWS):
        x = features[start : start + CHUNK_ROWS].double() - means[0]
        y = targets[start : start + CHUNK_ROWS].double() - means[1]
        square += x.T @ x
        cross += x.T @ y
    square += torch.eye(size, dtype=torch.double) * (penalty * square.diagonal().mean())
    weight = torch.linalg.solve(square, cross).T
    return weight.float(), (means[1] - weight @ means[0]).float()
