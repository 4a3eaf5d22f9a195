"""Sample texts: repeatable, and they end."""

from typing import Any

import torch

from burnish.arch.samples import sample_text


class Letters:
    def decode(self, ids: list[int]) -> str:
        return "".join(chr(97 + i % 26) for i in ids)


def test_a_sample_is_repeatable(tiny_model: Any) -> None:
    network = tiny_model("llama").network

    def sample(seed: int, num: int = 9, end: int = -1) -> str:
        return sample_text(network, Letters(), first=1, end=end, num_tokens=num, seed=seed)

    state = torch.get_rng_state()
    assert sample(3) == sample(3) != sample(4)
    assert len(sample(3)) == 9 and sample(3, 4) == sample(3)[:4]
    assert (torch.get_rng_state() == state).all()  # training is not disturbed
    network_ids = [ord(c) - 97 for c in sample(3)]
    assert sample(3, end=-1)[0] == chr(97 + network_ids[0])
