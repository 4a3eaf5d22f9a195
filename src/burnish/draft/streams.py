"""Hidden states of known texts: the stream before chosen layers and the last state, by row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.base.progress import track
from burnish.draft.distil import Text
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed
from burnish.models.load import Model

PASS_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Rows of all texts, one text after another: prompt, then answer.

    `layers[t]` is the stream that enters layer t, `final` the last hidden state after the norm.
    """

    texts: Sequence[Text]
    layers: Mapping[int, Float[Tensor, "N d"]]
    final: Float[Tensor, "N d"]

    @cached_property
    def begins(self) -> list[int]:
        """First row of each text."""
        begins = [0]
        for text in self.texts:
            begins.append(begins[-1] + len(text.prompt) + len(text.answer))
        return begins[:-1]

    def anchors(self, index: int) -> range:
        """Rows of a text from which drafts start: the prompt's last row to the third-last row.

        Each knows a token that follows it, and has at least one more to be guessed.
        """
        begin, text = self.begins[index], self.texts[index]
        end = begin + len(text.prompt) + len(text.answer)
        return range(begin + len(text.prompt) - 1, max(begin + len(text.prompt) - 1, end - 2))


def collect_streams(model: Model, texts: Sequence[Text], layers: Sequence[int]) -> Streams:
    """Run the frozen model over texts once; keep what enters `layers`, and the last states."""
    decoder, kept = model.decoder, sorted(set(layers))
    rope = Rope(decoder.config)
    found: dict[int, list[Tensor]] = {layer: [] for layer in [*kept, -1]}
    with torch.inference_mode(), track(len(texts), "streams", "text") as bar:
        for some in _passes(texts):
            tokens = torch.tensor([t for text in some for t in (*text.prompt, *text.answer)])
            blocks = packed([len(text.prompt) + len(text.answer) for text in some])
            attend = SharedAttend(blocks, rope, decoder.shape.windows).to(model.device)
            rows, first = decoder.model.embed_tokens(tokens.to(model.device)), 0
            for layer in kept:
                rows = decoder.hidden(
                    tokens, attend, first_layer=first, last_layer=layer, rows=rows
                )
                found[layer].append(rows.cpu())
                first = layer
            rows = decoder.hidden(tokens, attend, first_layer=first, rows=rows)
            found[-1].append(rows.cpu())
            bar.advance(len(some))
    final = torch.cat(found.pop(-1))
    return Streams(texts=texts, layers={k: torch.cat(v) for k, v in found.items()}, final=final)


def save_streams(path: Path, streams: Streams) -> None:
    """Save streams to disk, so that an interrupted run can resume."""
    from safetensors.torch import save_file

    temporary = path.with_suffix(".tmp")
    named = {f"layer.{layer}": rows for layer, rows in streams.layers.items()}
    save_file({**named, "final": streams.final}, temporary)
    temporary.rename(path)


def load_streams(path: Path, texts: Sequence[Text]) -> Streams:
    """Load the streams saved for these texts."""
    from safetensors.torch import load_file

    state = load_file(path)
    final = state.pop("final")
    layers = {int(name.removeprefix("layer.")): rows for name, rows in state.items()}
    return Streams(texts=texts, layers=layers, final=final)


def _passes(texts: Sequence[Text]) -> Iterator[list[Text]]:
    some: list[Text] = []
    for text in texts:
        num_rows = sum(len(one.prompt) + len(one.answer) for one in [*some, text])
        if some and num_rows > PASS_ROWS:
            yield some
            some = []
        some.append(text)
    yield some
