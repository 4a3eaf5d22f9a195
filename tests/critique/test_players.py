"""Players on a tiny model: batched, resumed, and from a prefix."""

import pytest

from burnish.base.meter import Meter
from burnish.contracts.generation import Sampling
from burnish.critique import players
from burnish.critique.players import ModelPlayer, Wish
from burnish.models.handle import ModelHandle


def wishes():
    sampling = [Sampling(max_new_tokens=5, temperature=1.0, seed=i) for i in range(4)]
    begins = ["", "17+", "", "2"]
    return [Wish(id=str(i), prompt=f"{i}+1=", sampling=s, begin=b)
            for i, (s, b) in enumerate(zip(sampling, begins, strict=True))]  # fmt: skip


def check_resumed(folder, path):
    handle = ModelHandle(str(folder), precision="fp32")
    straight = ModelPlayer(handle=handle, folder=None, meter=Meter()).write("a", wishes())
    player = ModelPlayer(handle=handle, folder=path, meter=Meter(), batch_size=2)
    player.write("a", wishes()[:2])
    assert player.write("a", wishes()) == straight
    assert all(one.text.startswith(w.begin) for one, w in zip(straight, wishes(), strict=True))
    assert all(one.prompt_tokens > 0 for one in straight)


def test_resumed_equals_straight(tiny_folder, tmp_path):
    check_resumed(tiny_folder("llama"), tmp_path)


def test_planted_prefix_that_is_forgotten(tiny_folder, tmp_path, monkeypatch):
    real = players.ModelPlayer._content
    monkeypatch.setattr(
        players.ModelPlayer, "_content", lambda self, w: real(self, w) if self.folder else (1, 2)
    )
    with pytest.raises(AssertionError):
        check_resumed(tiny_folder("llama"), tmp_path)
