"""Trained maps of a drafter: one small file, keyed to the model they were trained for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from burnish.base.errors import InputError, ModelError
from burnish.base.files import atomic_write
from burnish.base.progress import say
from burnish.base.records import content_hash, existing_file, file_hash
from burnish.contracts.drafter import Riders
from burnish.draft.ranks import Ranks
from burnish.models.cache import EMBEDDED
from burnish.models.load import Model

Kind = Literal["firp", "medusa"]
SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Trained maps: `weight` `[k, d, f]`, `bias` `[k, d]`, and how to use them.

    `firp` maps the stream entering layer `entries[i]` to that of a later position; `medusa` maps
    the last hidden state. `vocabulary` are the tokens that are drafted, most frequent first.
    `ranks` were measured on held-out answers of the model; `info` says how everything was made.
    """

    kind: Kind
    weight: Tensor
    bias: Tensor
    vocabulary: Tensor
    entries: tuple[int, ...] = ()
    source: Literal["anchor", "previous"] = "anchor"
    knows_next: bool = False
    cross: bool = True
    backbone: str = ""
    ranks: Ranks | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_offsets(self) -> int:
        """How many tokens after the bonus token are guessed."""
        return len(self.weight)

    def riders(
        self, dtype: torch.dtype, device: torch.device, *, num: int, passes: Literal["one", "two"]
    ) -> Riders:
        """The first `num` maps as pseudo states, in a model's format."""
        return Riders(
            entries=self.entries[:num],
            weight=self.weight[:num].to(device, dtype),
            bias=self.bias[:num].to(device, dtype),
            source=self.source,
            knows_next=self.knows_next,
            cross=self.cross,
            passes=passes,
        )


def medusa_states(final: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Last hidden states `[k, N, d]` that Medusa's heads guess from rows `[N, d]`.

    Source: Medusa, arXiv 2401.10774, equation 1, with the model's own head behind it.
    Oracle: tests/draft/test_drafters.py::test_heads_equal_the_formula
    """
    return torch.stack(
        [final + F.silu(F.linear(final, w, b)) for w, b in zip(weight, bias, strict=True)]
    )


def backbone_key(model: Model) -> str:
    """Hash of the weights that maps were trained for; the number format does not count."""
    if model.spec in EMBEDDED:
        return EMBEDDED[model.spec].sha256
    files = sorted(model.folder.glob("*.safetensors"))
    return content_hash({path.name: file_hash(path) for path in files})


def save_maps(path: Path, maps: Maps) -> None:
    """Write maps in bf16, with settings and provenance as the file's metadata; atomic."""
    from safetensors.torch import save

    tensors = {
        "weight": maps.weight.bfloat16().contiguous(),
        "bias": maps.bias.bfloat16().contiguous(),
        "vocabulary": maps.vocabulary.int(),
    }
    if maps.ranks is not None:
        tensors |= {"ranks": maps.ranks.values, "rank_lengths": torch.tensor(maps.ranks.lengths)}
        if maps.ranks.lookup is not None:
            tensors["lookup"] = maps.ranks.lookup
    plain = ("kind", "entries", "source", "knows_next", "cross", "backbone", "info")
    settings = json.dumps({name: getattr(maps, name) for name in plain}, sort_keys=True)
    with atomic_write(path, "wb") as file:
        file.write(save(tensors, metadata={"burnish.draft": settings}))


def load_maps(path: Path | str) -> Maps:
    """Read maps. Raises MissingFileError; InputError for a file that holds none."""
    from safetensors import SafetensorError, safe_open

    path = existing_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})["burnish.draft"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError) as error:
        rule, remedy = "must contain trained maps", "Make it with `burnish draft train`"
        raise InputError("draft weights", str(path), rule, remedy=remedy) from error
    ranks = None
    if "ranks" in tensors:
        ranks = Ranks(
            values=tensors.pop("ranks"),
            lengths=tensors.pop("rank_lengths").tolist(),
            lookup=tensors.pop("lookup", None),
        )
    for name in ("weight", "bias"):
        tensors[name] = tensors[name].float()
    settings["entries"] = tuple(settings["entries"])
    return Maps(ranks=ranks, **tensors, **settings)


def maps_for(model: Model, kind: Kind, path: str = "") -> Maps:
    """The maps at `path`, or the bundled ones for the model.

    Maps of another model of the same shape are used with a warning: they cannot change a text.
    Raises ModelError where none ship or the shapes differ.
    """
    if not path:
        found = shipped_maps(model, kind)
        if found is None:
            rule = f"has no {kind} weights in the package"
            remedy = f"Train some: burnish draft train {model.spec} --drafter {kind}"
            raise ModelError("model", model.spec, rule, remedy=remedy)
        return found
    maps = load_maps(path)
    width = model.config.hidden_size
    layers = model.config.num_hidden_layers
    if maps.kind != kind or maps.weight.shape[1] != width or max((0, *maps.entries)) >= layers:
        rule = f"must be {kind} weights for {layers} layers of width {width}"
        remedy = f"Train some: burnish draft train {model.spec} --drafter {kind}"
        raise ModelError("draft weights", path, rule, remedy=remedy)
    if maps.backbone != backbone_key(model):
        say(f"{path}: trained for another model: the text is still right, but drafts may be poor")
    return maps


def shipped_maps(model: Model, kind: str) -> Maps | None:
    """The bundled maps that were trained for exactly this model, if any."""
    key = backbone_key(model)
    found = (load_maps(path) for path in sorted(SHIPPED.glob(f"*-{kind}.safetensors")))
    return next((maps for maps in found if maps.backbone == key), None)
