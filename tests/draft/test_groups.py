"""Anchor groups over known texts are what decoding computes behind each anchor."""

from typing import Any

import pytest
import torch
from fixtures.tiny import texts

from burnish.contracts.drafter import Draft
from burnish.draft import groups as groups_module
from burnish.draft.distil import Text
from burnish.draft.guesses import Places, firp_states
from burnish.draft.passes import Passes
from burnish.draft.streams import Streams, collect_streams, load_streams, save_streams
from burnish.engine.session import DecoderSession

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def make_texts() -> list[Text]:
    parts = texts([9, 7, 1, 12, 20, 3], seed=4)
    return [
        Text(id=str(i), prompt=tuple(prompt), answer=tuple(answer))
        for i, (prompt, answer) in enumerate(zip(parts[::2], parts[1::2], strict=True))
    ]


def decoded(model: Any, text: Text, anchor: int, riders: Any) -> Any:
    """Pseudo states behind one position of a text, by the passes that decoding uses."""
    tokens = [*text.prompt, *text.answer]
    session = DecoderSession(
        model.network, num_slots=1, capacity_tokens=80, dtype=model.dtype, device=model.device
    )
    if anchor:
        session.prefill([0], [tokens[:anchor]])
    passes = Passes(model.network, session.cache, riders)
    root = Draft(tokens=(tokens[anchor],))
    passed = passes.verify([root])
    passes.commit(0, root, [0])
    return passes.guess(passed.streams, [tokens[anchor + 1]])[0]


def check_groups(model: Any, maps: Any) -> None:
    some = make_texts()
    streams = collect_streams(model, some, maps.entries)
    riders = maps.riders(torch.float32, torch.device("cpu"), num=3, passes="two")
    chosen = [list(streams.anchors(0))[::2], list(streams.anchors(2))]
    places = Places(texts=[0, 2], rows=[torch.tensor(rows) for rows in chosen])
    found = firp_states(model.network, riders, streams, places)
    at = 0
    for index, rows in zip(places.texts, chosen, strict=True):
        for row in rows:
            wanted = decoded(model, some[index], row - streams.begins[index], riders)
            torch.testing.assert_close(found[:, at], wanted, **CLOSE)
            at += 1


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("llama", {}),
        ("llama", {"cross": False, "source": "previous"}),
        ("llama", {"knows_next": True, "entries": (1, 1, 2)}),
        ("qwen3", {"entries": (1, 2, 2)}),
        ("qwen2-sliding", {}),
    ],
)
def test_groups_equal_decoding(
    family: str, settings: dict, tiny_model: Any, make_maps: Any
) -> None:
    model = tiny_model(family)
    check_groups(model, make_maps(model, **settings))


def test_planted_anchor_that_sees_what_follows(
    tiny_model: Any, make_maps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = groups_module.GroupAttend.__init__

    def spoilt(self: Any, *args: Any, **kwargs: Any) -> None:
        exact(self, *args, **kwargs)
        self._at = [(anchor + 1, offset) for anchor, offset in self._at]

    monkeypatch.setattr(groups_module.GroupAttend, "__init__", spoilt)
    model = tiny_model("llama")
    with pytest.raises(AssertionError):
        check_groups(model, make_maps(model))


def test_streams_are_those_of_each_text_alone(tiny_model: Any, tmp_path: Any) -> None:
    model, some = tiny_model("llama"), make_texts()
    together = collect_streams(model, some, [1, 2])
    save_streams(tmp_path / "streams.safetensors", together)
    loaded = load_streams(tmp_path / "streams.safetensors", some)
    for index, text in enumerate(some):
        alone = collect_streams(model, [text], [1, 2])
        rows = slice(together.begins[index], together.begins[index] + len(alone.final))
        torch.testing.assert_close(together.final[rows], alone.final, **CLOSE)
        torch.testing.assert_close(loaded.layers[2][rows], alone.layers[2], **CLOSE)
    assert torch.equal(loaded.final, together.final)


def test_anchors_know_a_next_token_and_guess_another() -> None:
    text = Text(id="a", prompt=(5, 6, 7), answer=(8, 9, 10, 11))
    short = Text(id="b", prompt=(5,), answer=(8,))
    streams = Streams(texts=[text, short], layers={}, final=torch.zeros(9, 4))
    assert list(streams.anchors(0)) == [2, 3, 4]  # 4: the token 9; 10 follows, 11 is guessed
    assert list(streams.anchors(1)) == []
