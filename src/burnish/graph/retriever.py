"""The structure-enhanced bi-encoder: one graph network for queries and examples alike."""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from burnish.graph.blocks import Batch
from burnish.graph.layers import LAYERS
from burnish.graph.settings import RetrieverSettings


class Retriever(nn.Module):
    """Layers with layer norm, a projection in which items are compared, and a classifier on it.

    Norms work on single rows, so a node's vector depends on its neighbourhood only, whatever else
    is in the batch. Pairs of nodes are `[h_u * h_v, |h_u - h_v|]` before the projection.
    Source: AskGNN, arXiv 2410.07074 (reconstruction), section on the retriever.
    Departure: a projected space with a temperature in place of class log-probabilities, whose
    cosines are nearly all equal (docs/papers/askgnn.md).
    Oracle: tests/graph/test_retriever.py::test_an_empty_graph_is_the_network_without_one
    """

    def __init__(
        self, num_features: int, num_classes: int, settings: RetrieverSettings, *, pairs: bool
    ) -> None:
        super().__init__()
        self.settings, self._pairs = settings, pairs
        kind = LAYERS[settings.structure]
        wide = settings.structure != "sgc"
        widths = [num_features] + [settings.hidden if wide else num_features] * settings.layers
        steps = itertools.pairwise(widths)
        self.layers = nn.ModuleList(kind(num_in, num_out) for num_in, num_out in steps)
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if wide else nn.Identity() for width in widths[1:]
        )
        self.dropout = nn.Dropout(settings.dropout)
        last = widths[-1]
        self.project = nn.Linear(2 * last if pairs else last, settings.width, bias=False)
        self.classify = nn.Linear(settings.width, max(1, num_classes))

    def forward(
        self, features: Float[Tensor, "M d"], batch: Batch, nodes: Tensor
    ) -> Float[Tensor, "B e"]:
        """Unit vectors of items; `nodes` are rows of the batch's outputs, one or two an item."""
        rows = features
        for layer, norm, block in zip(self.layers, self.norms, batch.blocks, strict=True):
            rows = layer(rows, block)
            if self.settings.structure != "sgc":
                rows = F.relu(norm(rows))
            rows = self.dropout(rows)
        if self._pairs:
            one, other = rows[nodes[:, 0]], rows[nodes[:, 1]]
            rows = torch.cat([one * other, (one - other).abs()], dim=1)
        else:
            rows = rows[nodes[:, 0]]
        return F.normalize(self.project(rows), dim=1)

    def logits(self, vectors: Float[Tensor, "B e"]) -> Float[Tensor, "B C"]:
        """Class scores of unit vectors."""
        return self.classify(self.settings.classifier_scale * vectors)

    def compared(self, vectors: Float[Tensor, "B e"]) -> Float[Tensor, "B d"]:
        """Unit vectors whose inner products rank examples."""
        if self.settings.space == "projected":
            return vectors
        return F.normalize(self.logits(vectors).log_softmax(1), dim=1)

    @property
    def sharpness(self) -> float:
        """The factor of inner products in the feedback loss."""
        return 1 / self.settings.temperature if self.settings.space == "projected" else 1.0
