"""Passes over drafts: separate runs, injected states, two passes and one, what stays behind."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits, texts
from torch import Tensor

from burnish.contracts.drafter import Draft, Riders
from burnish.draft import passes as passes_module
from burnish.draft.layout import path_to
from burnish.draft.passes import Passes
from burnish.engine.session import DecoderSession

FAMILIES = ["llama", "llama-biased", "qwen3", "qwen2-sliding"]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
PROMPTS = texts([13, 4, 1])


def opened(
    model: Any, riders: Riders | None = None, prompts: Sequence[Sequence[int]] = PROMPTS
) -> tuple[Passes, DecoderSession]:
    """Passes behind prefilled prompts; the last token of each is left out: it is the root."""
    session = DecoderSession(
        model.network, num_slots=len(prompts), capacity_tokens=120, dtype=model.dtype,
        device=model.device,
    )  # fmt: skip
    whole = [i for i, prompt in enumerate(prompts) if len(prompt) > 1]
    session.prefill(whole, [prompts[i][:-1] for i in whole])
    return Passes(model.network, session.cache, riders), session


def drafts_of(random_draft: Any, prompts: Sequence[Sequence[int]] = PROMPTS) -> list[Draft]:
    return [random_draft(i, 6, prompt[-1]) for i, prompt in enumerate(prompts)]


def riders_of(maps: Any, *, passes: str) -> Riders:
    return maps.riders(torch.float32, torch.device("cpu"), num=maps.num_offsets, passes=passes)


def check_paths(model: Any, drafts: list[Draft], riders: Riders | None) -> None:
    """Each node's logits are those of the plain text that its path makes."""
    passes, _ = opened(model, riders)
    passed = passes.verify(drafts)
    for prompt, draft, begin in zip(PROMPTS, drafts, passed.begins, strict=True):
        for node in range(len(draft.tokens)):
            path = [draft.tokens[v] for v in path_to(draft.parents, node)]
            (wanted,) = packed_logits(model.network, [[*prompt[:-1], *path]])
            torch.testing.assert_close(passed.logits[begin + node], wanted[-1], **CLOSE)


@pytest.mark.parametrize("riding", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_paths_equal_separate_runs(
    family: str, riding: bool, tiny_model: Any, random_draft: Any, make_maps: Any
) -> None:
    model = tiny_model(family)
    riders = riders_of(make_maps(model, source="previous"), passes="one") if riding else None
    check_paths(model, drafts_of(random_draft), riders)


def test_planted_siblings_seen(
    tiny_model: Any, random_draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.draft import layout

    monkeypatch.setattr(layout, "path_to", lambda parents, node: list(range(node + 1)))
    with pytest.raises(AssertionError):
        check_paths(tiny_model("llama"), drafts_of(random_draft), None)


def test_sibling_edits_change_nothing(tiny_model: Any, random_draft: Any) -> None:
    model = tiny_model("llama")
    draft = Draft(tokens=(5, 20, 30, 40, 50), parents=(-1, 0, 1, 0, 3))
    other = Draft(tokens=(5, 20, 30, 41, 51), parents=(-1, 0, 1, 0, 3))
    one, two = (opened(model, None, [[9, 5]])[0].verify([d]).logits for d in (draft, other))
    assert torch.equal(one[:3], two[:3])
    assert not torch.allclose(one[3:], two[3:])


def check_commit(model: Any, draft: Draft, node: int) -> None:
    """After a pass the cache is what a prefill of the accepted text would have left."""
    passes, session = opened(model, None, PROMPTS[:1])
    passes.verify([draft])
    path = path_to(draft.parents, node)
    passes.commit(0, draft, path)
    text = [*PROMPTS[0][:-1], *(draft.tokens[v] for v in path)]
    fresh = DecoderSession(
        model.network, num_slots=1, capacity_tokens=120, dtype=model.dtype, device=model.device
    )
    fresh.prefill([0], [text])
    assert session.cache.lengths == [len(text)]
    found, wanted = session.snapshot(0).cells, fresh.snapshot(0).cells
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("node", range(6))
def test_cache_equals_a_prefill(node: int, tiny_model: Any, random_draft: Any) -> None:
    check_commit(tiny_model("llama"), random_draft(2, 6, PROMPTS[0][-1]), node)


def test_planted_cells_left_where_they_were(
    tiny_model: Any, random_draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lazy(self: Passes, slot: int, draft: Draft, path: Sequence[int]) -> None:
        self._cache.lengths[slot] += len(path)

    monkeypatch.setattr(Passes, "commit", lazy)
    draft = Draft(tokens=(5, 20, 30, 40), parents=(-1, 0, 0, 2))
    with pytest.raises(AssertionError):
        check_commit(tiny_model("llama"), draft, 3)


TEXT = texts([20], seed=8)[0]


def check_injection(model: Any, monkeypatch: pytest.MonkeyPatch, entries: tuple[int, ...]) -> None:
    """Pseudo states that are the true streams give the true logits, behind every node.

    Catches mask, position and cache errors at once.
    """
    from burnish.kv.rope import Rope
    from burnish.kv.shared import SharedAttend, packed

    decoder, start = model.network, 9  # the root is token 9; a draft of two true tokens
    attend = SharedAttend(packed([len(TEXT)]), Rope(decoder.config), decoder.shape.windows)
    with torch.no_grad():
        ids = torch.tensor(TEXT)
        streams = {t: decoder.hidden(ids, attend, last_layer=t) for t in set(entries)}
    (real,) = packed_logits(decoder, [TEXT])

    def inject(
        riders: Riders, maps: Any, rows: Tensor, num_anchors: int, num_active: int, layer: int,
        after: Tensor | None = None,
    ) -> tuple[Tensor, int]:  # fmt: skip
        parts = [rows]
        while num_active < len(entries) and entries[num_active] == layer:
            num_active += 1
            at = [start + node + num_active for node in range(num_anchors)]
            parts.append(streams[layer][at])
        return torch.cat(parts), num_active

    monkeypatch.setattr(passes_module, "enter", inject)
    size, num = model.config.hidden_size, len(entries)
    riders = Riders(entries=entries, weight=torch.zeros(num, size, size))
    passes, _ = opened(model, riders, [TEXT[: start + 1]])
    draft = Draft(tokens=tuple(TEXT[start : start + 3]), parents=(-1, 0, 1))
    passed = passes.verify([draft])
    assert passed.pseudo is not None
    for node in range(3):
        with torch.no_grad():
            logits = decoder.head(passed.pseudo[node])
        for offset in range(num):
            wanted = real[start + node + offset + 1]
            torch.testing.assert_close(logits[offset], wanted, **CLOSE)


@pytest.mark.parametrize("entries", [(2, 2, 2), (1, 1), (1,)])
@pytest.mark.parametrize("family", ["llama", "qwen3", "llama-yarn"])
def test_injected_states_give_the_real_logits(
    family: str, entries: tuple[int, ...], tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_injection(tiny_model(family), monkeypatch, entries)


def test_planted_pseudo_position_one_late(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = passes_module.make_layout

    def late(shapes: Any, num_offsets: int, **settings: Any) -> Any:
        layout = exact(shapes, num_offsets, **settings)
        layout.position_of_row[sum(map(len, shapes)) :] += 1
        return layout

    monkeypatch.setattr(passes_module, "make_layout", late)
    with pytest.raises(AssertionError):
        check_injection(tiny_model("llama"), monkeypatch, (2, 2))


def check_two_passes(model: Any, maps: Any) -> None:
    """Pseudo states behind an accepted root: run along, or afterwards from the cache."""
    roots = [Draft(tokens=(prompt[-1],)) for prompt in PROMPTS]
    along, _ = opened(model, riders_of(maps, passes="one"))
    wanted = along.verify(roots).pseudo
    passes, _ = opened(model, riders_of(maps, passes="two"))
    passed = passes.verify(roots)
    for slot, root in enumerate(roots):
        passes.commit(slot, root, [0])
    assert passed.pseudo is None
    found = passes.guess(passed.streams, [7, 8, 9])
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("cross", [True, False])
@pytest.mark.parametrize("source", ["anchor", "previous"])
@pytest.mark.parametrize("entries", [(2, 2, 2), (1, 2, 2)])
def test_two_passes_equal_one(
    entries: tuple[int, ...], source: str, cross: bool, tiny_model: Any, make_maps: Any
) -> None:
    model = tiny_model("llama")
    check_two_passes(model, make_maps(model, entries=entries, source=source, cross=cross))


def test_planted_pass_before_the_commit(
    tiny_model: Any, make_maps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Passes, "commit", lambda self, slot, draft, path: None)
    model = tiny_model("llama")
    with pytest.raises(AssertionError):
        check_two_passes(model, make_maps(model))


def test_attention_among_pseudo_states_matters(tiny_model: Any, make_maps: Any) -> None:
    model, root = tiny_model("llama"), [Draft(tokens=(5,))]
    found = []
    for cross in (True, False):
        riders = riders_of(make_maps(model, entries=(1, 1), cross=cross), passes="one")
        found.append(opened(model, riders, [[9, 5]])[0].verify(root).pseudo)
    torch.testing.assert_close(found[0][:, 0], found[1][:, 0], **CLOSE)
    assert not torch.allclose(found[0][:, 1], found[1][:, 1], atol=1e-3)
