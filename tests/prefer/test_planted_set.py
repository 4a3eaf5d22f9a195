"""Where lengths come from, exactly: a two-token policy in closed form, and a small transformer.

Quality is one token, which decides every label; length goes with the label at a known rate. The
policy says when to end, so its mean length is a sum of probabilities and nothing is sampled.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.training import fresh

from burnish.base.meter import Meter
from burnish.models.load import Model
from burnish.models.save import save_model
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, PairLosses, ld_dpo
from burnish.prefer.objective import PreferenceObjective
from burnish.prefer.pairs import Pair
from burnish.prefer.reference import FrozenCopy
from burnish.train.examples import Example
from burnish.train.fit import fit
from burnish.train.settings import TrainSettings

Loss = Callable[..., PairLosses]
GOOD, BAD, FILLER, END = 11, 12, 13, 2
PROMPT = (5, 6, 7)

# --- two tokens, in closed form -----------------------------------------------------------------


def push_on_end(
    loss: Loss, *, alpha: float, hazard: float, short: int, excess: int, **named: str
) -> float:
    """Derivative of the margin by the end token's logit; the longer answer was chosen."""
    logit = torch.tensor(hazard, dtype=torch.float64).logit().requires_grad_(True)
    end, go_on = torch.nn.functional.logsigmoid(logit), torch.nn.functional.logsigmoid(-logit)
    chosen = [*[go_on] * (short + excess), end]
    rejected = [*[go_on] * short, end]
    policy = torch.stack([*chosen, *rejected])
    lengths = ((len(chosen), len(rejected)),)
    batch = Batch(policy=policy, reference=policy.detach(), lengths=lengths)
    margin = loss(batch, alpha=alpha, beta=1.0, **named).margins.sum()
    return float(torch.autograd.grad(margin, logit)[0])


def check_push(loss: Loss) -> None:
    """-1 + alpha (1 - excess * hazard): the shorter one's end always counts, the tail by alpha."""
    for alpha in (0.0, 0.3, 1.0):
        for hazard in (0.05, 0.3):
            for short, excess in ((1, 2), (4, 25)):
                found = push_on_end(loss, alpha=alpha, hazard=hazard, short=short, excess=excess)
                wanted = -1 + alpha * (1 - excess * hazard)
                assert found == pytest.approx(wanted, abs=1e-12)


def test_push_on_the_end_token_in_closed_form() -> None:
    check_push(ld_dpo)


def test_push_on_a_public_end_never_exceeds_that_of_dpo() -> None:
    """-hazard (1 + alpha (excess - 1)): at alpha 0 the end token is all but left alone."""
    for alpha in (0.0, 0.3, 1.0):
        for hazard in (0.05, 0.3):
            for short, excess in ((1, 2), (4, 25)):
                place: dict[str, Any] = {"hazard": hazard, "short": short, "excess": excess}
                found = push_on_end(ld_dpo, alpha=alpha, ld_end="public", **place)
                assert found == pytest.approx(-hazard * (1 + alpha * (excess - 1)), abs=1e-12)
                assert found >= push_on_end(ld_dpo, alpha=1.0, **place) - 1e-12


def test_planted_alpha_on_the_public_tokens() -> None:
    def turned(batch: Batch, *, alpha: float, beta: float) -> PairLosses:
        whole, public = (ld_dpo(batch, alpha=a, beta=beta).margins for a in (1.0, 0.0))
        margins = alpha * public + (whole - public)
        return PairLosses(losses=-torch.nn.functional.logsigmoid(margins), margins=margins)

    with pytest.raises(AssertionError):
        check_push(turned)


# --- a small transformer ------------------------------------------------------------------------


def answer(quality: int, num_fillers: int) -> tuple[int, ...]:
    return (quality, *[FILLER] * num_fillers, END)


def trained(model: Model, items: Any, rate: float, place: Path, **named: Any) -> None:
    """All weights, one epoch, sixteen texts or pairs per step."""
    place.mkdir()
    settings = TrainSettings(
        method="full", learning_rate=rate, epochs=1, examples_per_step=16, save_every_steps=1000
    )
    fit(model, items, settings, folder=place, meter=Meter(), **named)
    model.network.eval()


@pytest.fixture(scope="module")
def writer(tiny_folder: Any, tmp_path_factory: Any) -> Path:
    """A model that writes a good or a bad token, then fillers: about two of them."""
    place = tmp_path_factory.mktemp("writer")
    model, rng = fresh(tiny_folder()), np.random.default_rng(0)
    texts = [
        Example(id=str(i), prompt=PROMPT, answer=answer((GOOD, BAD)[i % 2], min(int(n), 24)))
        for i, n in enumerate(rng.geometric(0.3, 960) - 1)
    ]
    trained(model, texts, 3e-3, place / "texts")
    return save_model(model, place / "model")


def planted(rho: float, num: int, *, seed: int = 1) -> list[Pair]:
    """Good answers were chosen; they are the longer ones at the rate (1 + rho) / 2."""
    rng, pairs = np.random.default_rng(seed), []
    for row in range(num):
        sizes = [int(rng.integers(1, 4)), int(rng.integers(10, 18))]
        if rng.random() < (1 + rho) / 2:
            sizes.reverse()
        chosen, rejected = answer(GOOD, sizes[0]), answer(BAD, sizes[1])
        pairs.append(Pair(row=row, prompt=PROMPT, chosen=chosen, rejected=rejected))
    return pairs


@torch.no_grad()
def mean_length(network: Any, *, most: int = 30) -> float:
    """Expected fillers after the good token, where the policy writes fillers or ends."""
    pairs = [
        Pair(row=n, prompt=PROMPT, chosen=answer(GOOD, n), rejected=(BAD,)) for n in range(most)
    ]
    parts = answer_logprobs(network, pairs).split([n for p in pairs for n in p.lengths])[::2]
    ends = torch.stack([part[-1] for part in parts])
    fillers = parts[-1][1:-1]  # log-probability of a filler at each place but the last
    return float(torch.sigmoid(fillers - ends[:-1]).cumprod(0).sum())


@torch.no_grad()
def quality_accuracy(network: Any, reference: Any) -> float:
    """Margins right on pairs of equal lengths, where only quality can tell."""
    pairs = [
        Pair(row=n, prompt=PROMPT, chosen=answer(GOOD, n), rejected=answer(BAD, n))
        for n in range(1, 16)
    ]
    ratios = answer_logprobs(network, pairs) - reference(network, pairs)
    sums = torch.stack([part.sum() for part in ratios.split([n for p in pairs for n in p.lengths])])
    return float((sums[::2] > sums[1::2]).double().mean())


def drifts(writer: Path, place: Path, rho: float, loss: Loss) -> list[float]:
    """Change of the mean length at alpha 0, 0.5 and 1; quality must be learned at each."""
    found = []
    for alpha in (0.0, 0.5, 1.0):
        model = fresh(writer)
        model.network.unfuse()
        reference, before = FrozenCopy(model.network), mean_length(model.network)
        chosen = functools.partial(loss, alpha=alpha, beta=0.1)
        objective = PreferenceObjective(chosen, reference)
        pairs = planted(rho, 192)
        trained(model, pairs, 1e-4, place / f"{rho} {alpha}", objective=objective)
        assert quality_accuracy(model.network, reference) == 1.0
        found.append(mean_length(model.network) - before)
    return found


def check_drift(writer: Path, place: Path, loss: Loss) -> None:
    """Longer where longer was chosen, shorter where shorter was; the less, the smaller alpha."""
    none, half, whole = drifts(writer, place, 0.8, loss)
    assert 0 < none < half < whole
    none, half, whole = drifts(writer, place, -0.8, loss)
    assert 0 > none > half > whole


@pytest.mark.slow
def test_length_drift_falls_with_alpha_and_quality_stays(writer: Path, tmp_path: Path) -> None:
    check_drift(writer, tmp_path, ld_dpo)


@pytest.mark.slow
def test_planted_alpha_ignored(writer: Path, tmp_path: Path) -> None:
    """As with `use_liger_kernel` and `ld_alpha` in one trainer: no error, and plain DPO."""

    def deaf(batch: Batch, *, alpha: float, beta: float) -> PairLosses:
        return ld_dpo(batch, alpha=1.0, beta=beta)

    with pytest.raises(AssertionError):
        check_drift(writer, tmp_path, deaf)
