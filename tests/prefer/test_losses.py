"""Losses against formulas written out again, pair by pair, in plain Python floats."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from burnish.base.errors import SettingError
from burnish.prefer.losses import LOSSES, REFERENCE_FREE, Batch, PairLosses, dpo, ld_dpo, r_dpo

Loss = Callable[..., PairLosses]


def answers(batch: Batch, values: torch.Tensor) -> list[tuple[list[float], list[float]]]:
    """Plain lists, chosen and rejected, of every pair."""
    flat, found = values.tolist(), []
    for chosen, rejected in batch.lengths:
        found.append((flat[:chosen], flat[chosen : chosen + rejected]))
        flat = flat[chosen + rejected :]
    return found


def softplus(x: float) -> float:
    return math.log1p(math.exp(-abs(x))) + max(x, 0.0)


def by_hand(name: str, w: Any, n: Any, rw: Any, rn: Any) -> tuple[float, float]:
    """Loss and margin of one pair with settings that are not the defaults."""
    public = min(len(w), len(n))

    def ld(tokens: list[float]) -> float:
        return sum(tokens[:public]) + 0.3 * sum(tokens[public:])

    ratio = sum(w) - sum(rw) - sum(n) + sum(rn)
    margin = {
        "dpo": 0.7 * ratio,
        "ld-dpo": 0.7 * (ld(w) - ld(rw) - ld(n) + ld(rn)),
        "policy-only": 0.7 * (ld(w) - sum(rw) - ld(n) + sum(rn)),
        "simpo": 0.7 * (sum(w) / len(w) - sum(n) / len(n)) - 0.4,
        "r-dpo": 0.7 * ratio + 0.05 * (len(w) - len(n)),
        "ipo": ratio,
        "norm-dpo": 0.7 * ((sum(w) - sum(rw)) / len(w) - (sum(n) - sum(rn)) / len(n)),
        "dpop": 0.7 * (ratio - 3.0 * max(0.0, sum(rw) - sum(w))),
    }[name]
    return ((margin - 1 / (2 * 0.7)) ** 2 if name == "ipo" else softplus(-margin)), margin


SETTINGS: dict[str, dict[str, Any]] = {
    "dpo": {"beta": 0.7},
    "ld-dpo": {"beta": 0.7, "alpha": 0.3},
    "policy-only": {"beta": 0.7, "alpha": 0.3, "ld_reference": "policy_only"},
    "simpo": {"beta": 0.7, "gamma": 0.4},
    "r-dpo": {"beta": 0.7, "length_penalty": 0.05},
    "ipo": {"tau": 0.7},
    "norm-dpo": {"beta": 0.7},
    "dpop": {"beta": 0.7, "drop_penalty": 3.0},
}


def function(name: str) -> Loss:
    return ld_dpo if name == "policy-only" else LOSSES[name]


def check_closed_form(name: str, loss: Loss, batch: Batch) -> None:
    found = loss(batch, **SETTINGS[name])
    sides = zip(answers(batch, batch.policy), answers(batch, batch.reference), strict=True)
    wanted = [by_hand(name, *policy, *reference) for policy, reference in sides]
    assert found.losses.tolist() == pytest.approx([loss for loss, _ in wanted], rel=1e-12)
    assert found.margins.tolist() == pytest.approx([m for _, m in wanted], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", SETTINGS)
def test_closed_forms(name: str, batch: Batch) -> None:
    check_closed_form(name, function(name), batch)
    assert {*SETTINGS, "sampo"} - {"policy-only"} == set(LOSSES)


def test_sampo_is_dpo_where_lengths_are_equal_and_bounded_elsewhere(batch_of: Any) -> None:
    """Equal lengths: every token is drawn. Else as many terms as the shorter answer has."""
    equal = batch_of([(5, 5), (2, 2)])
    assert torch.equal(LOSSES["sampo"](equal).losses, dpo(equal).losses)
    ones = batch_of([(3, 40)])
    policy = ones.reference + 1.0  # every log-ratio is one, so a margin counts tokens
    found = LOSSES["sampo"](replace(ones, policy=policy), beta=1.0)
    assert found.margins.tolist() == pytest.approx([0.0], abs=1e-9)
    assert dpo(replace(ones, policy=policy), beta=1.0).margins.tolist() == pytest.approx([-37.0])


# --- equivalences ------------------------------------------------------------------------------


def check_alpha_one(loss: Loss, batch: Batch) -> None:
    """Bit for bit, loss and gradient."""
    found = []
    for function, settings in ((loss, {"alpha": 1.0}), (dpo, {})):
        policy = batch.policy.clone().requires_grad_(True)
        out = function(replace(batch, policy=policy), **settings).losses
        found.append((out.detach(), torch.autograd.grad(out.sum(), policy)[0]))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("ld_reference", ["both", "policy_only"])
def test_alpha_one_is_dpo_bit_for_bit(ld_reference: str, batch: Batch) -> None:
    check_alpha_one(lambda b, alpha: ld_dpo(b, alpha=alpha, ld_reference=ld_reference), batch)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equal_lengths_are_dpo_at_any_alpha(alpha: float, batch_of: Any) -> None:
    batch = batch_of([(5, 5), (2, 2), (9, 9)])
    check_alpha_one(lambda b, **_: ld_dpo(b, alpha=alpha), batch)


def test_planted_alpha_that_is_a_power(batch: Batch) -> None:
    """`logp ** alpha`, as one pull request had it."""

    def power(b: Batch, *, alpha: float) -> PairLosses:
        return ld_dpo(replace(b, policy=b.policy**alpha), alpha=1.0)

    with pytest.raises(AssertionError):
        check_alpha_one(lambda b, alpha: power(b, alpha=alpha / 2), batch)


def check_start(loss: Loss, batch: Batch) -> None:
    """Policy = reference: ln 2 and margin 0."""
    found = loss(replace(batch, policy=batch.reference), alpha=0.3)
    assert torch.equal(found.margins, torch.zeros_like(found.margins))
    assert found.losses.tolist() == pytest.approx([math.log(2)] * len(found.losses), rel=1e-15)


def test_policy_equal_to_reference_gives_ln_2(batch: Batch) -> None:
    check_start(ld_dpo, batch)


def test_planted_reference_left_whole(batch: Batch) -> None:
    with pytest.raises(AssertionError):
        check_start(lambda b, alpha: ld_dpo(b, alpha=alpha, ld_reference="policy_only"), batch)


def gradient(loss: Loss, batch: Batch, **settings: Any) -> torch.Tensor:
    policy = batch.policy.clone().requires_grad_(True)
    out = loss(replace(batch, policy=policy), **settings).losses.sum()
    return torch.autograd.grad(out, policy)[0]


def test_gradient_is_affine_in_alpha_at_the_start(batch: Batch) -> None:
    batch = replace(batch, policy=batch.reference)
    low, middle, high = (gradient(ld_dpo, batch, alpha=alpha) for alpha in (0.0, 0.5, 1.0))
    torch.testing.assert_close(middle, (low + high) / 2, atol=1e-15, rtol=0)


def check_gradient(loss: Loss, batch: Batch) -> None:
    """-beta sigma(-m) w for chosen tokens, + for rejected ones."""
    found = gradient(loss, batch, alpha=0.3, beta=0.7)
    margins = loss(batch, alpha=0.3, beta=0.7).margins.tolist()
    wanted = []
    for (chosen, rejected), margin in zip(batch.lengths, margins, strict=True):
        pull, public = 0.7 / (1 + math.exp(margin)), min(chosen, rejected)
        for sign, length in ((-1, chosen), (1, rejected)):
            wanted += [sign * pull * (1.0 if i < public else 0.3) for i in range(length)]
    exact = torch.tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=0)


def test_gradient_in_closed_form(batch: Batch) -> None:
    check_gradient(ld_dpo, batch)


def test_planted_detached_tail(batch: Batch) -> None:
    """The tail's gradient flows, times alpha; a detached tail has the same loss."""

    def detached(b: Batch, *, alpha: float, beta: float) -> PairLosses:
        head = ld_dpo(b, alpha=0.0, beta=beta)
        tail = ld_dpo(b, alpha=alpha, beta=beta).margins.detach() - head.margins.detach()
        margins = head.margins + tail
        return PairLosses(losses=-torch.nn.functional.logsigmoid(margins), margins=margins)

    with pytest.raises(AssertionError):
        check_gradient(detached, batch)


def check_tail(loss: Loss, batch: Batch) -> None:
    """At alpha 0 nothing past the public length changes anything."""
    parts = answers(batch, torch.arange(len(batch.policy)).double())
    changed = batch.policy.clone()
    for chosen, rejected in parts:
        public = min(len(chosen), len(rejected))
        tail = [int(i) for i in (*chosen[public:], *rejected[public:])]
        changed[tail] -= 5.0
    assert not torch.equal(changed, batch.policy)
    found, wanted = loss(replace(batch, policy=changed)), loss(batch)
    assert torch.equal(found.losses, wanted.losses)


@pytest.mark.parametrize("ld_reference", ["both", "policy_only"])
def test_alpha_zero_ignores_the_tail(ld_reference: str, batch: Batch) -> None:
    check_tail(lambda b: ld_dpo(b, alpha=0.0, ld_reference=ld_reference), batch)


def test_planted_common_prefix_as_public_length(batch: Batch) -> None:
    with pytest.raises(AssertionError):
        check_tail(lambda b: ld_dpo(b, alpha=0.01), batch)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"simpo", "ipo", "r-dpo", "dpop", "sampo"}))
def test_swapping_the_answers_swaps_the_sign(name: str, batch: Batch) -> None:
    sides = [answers(batch, values) for values in (batch.policy, batch.reference)]
    policy, reference = (
        torch.tensor([x for w, n in side for x in (*n, *w)], dtype=torch.float64) for side in sides
    )
    lengths = tuple((n, w) for w, n in batch.lengths)
    swapped = Batch(policy=policy, reference=reference, lengths=lengths, keys=batch.keys)
    margins, turned = LOSSES[name](batch).margins, LOSSES[name](swapped).margins
    torch.testing.assert_close(turned, -margins, atol=1e-12, rtol=0)


def test_r_dpo_adds_exactly_the_penalty(batch: Batch) -> None:
    offsets = r_dpo(batch, length_penalty=0.03).margins - dpo(batch).margins
    wanted = [0.03 * (w - n) for w, n in batch.lengths]
    assert offsets.tolist() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_pairs_do_not_see_each_other(name: str, batch: Batch) -> None:
    """Alone, in another order or together: the same loss."""
    whole = LOSSES[name](batch).losses.tolist()
    sides = [answers(batch, values) for values in (batch.policy, batch.reference)]
    for place in range(len(whole)):
        policy, reference = (
            torch.tensor([x for one in side[place] for x in one], dtype=torch.float64)
            for side in sides
        )
        alone = Batch(
            policy=policy,
            reference=reference,
            lengths=(batch.lengths[place],),
            keys=(batch.keys[place],),
        )
        assert LOSSES[name](alone).losses.tolist() == pytest.approx([whole[place]], rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name: str, batch: Batch) -> None:
    policy = batch.policy.clone().requires_grad_(True)
    torch.autograd.gradcheck(lambda p: LOSSES[name](replace(batch, policy=p)).losses, policy)


# --- the bug that shipped for nine months -------------------------------------------------------


def padded_ld(
    logps: torch.Tensor, mask: torch.Tensor, *, alpha: float, absolute: bool
) -> torch.Tensor:
    """LD log-likelihoods on padded [2B, T] with the prompt inside, as other libraries have them.

    `absolute` is TRL 0.18 to 0.28: positions of the whole text against an answer's length.
    """
    lengths = mask.sum(-1)
    half = len(logps) // 2
    public = torch.minimum(lengths[:half], lengths[half:]).repeat(2)[:, None]
    place = torch.arange(logps.shape[1])[None] if absolute else mask.cumsum(-1) - 1
    weights = torch.where(place < public, 1.0, alpha) * mask
    return (logps * weights).sum(-1)


def check_prompt_length(absolute: bool, batch: Batch) -> None:
    """Any prompt, padding on either side: the padded formula gives ours."""
    wanted = ld_dpo(batch, alpha=0.3, beta=1.0, ld_reference="policy_only").margins
    sides, num = answers(batch, batch.policy), len(batch.lengths)
    texts = [w for w, _ in sides] + [n for _, n in sides]
    reference = torch.tensor([sum(w) - sum(n) for w, n in answers(batch, batch.reference)])
    for prompt, padding in ((0, 0), (4, 3), (20, 0), (150, 9)):
        width = prompt + max(map(len, texts)) + padding
        logps = torch.zeros(2 * num, width, dtype=torch.float64)
        mask = torch.zeros(2 * num, width, dtype=torch.bool)
        for row, text in enumerate(texts):
            start = prompt + (padding if row % 2 else 0)
            logps[row, start : start + len(text)] = torch.tensor(text, dtype=torch.float64)
            mask[row, start : start + len(text)] = True
        found = padded_ld(logps, mask, alpha=0.3, absolute=absolute)
        margins = found[:num] - found[num:] - reference
        torch.testing.assert_close(margins, wanted, atol=1e-6, rtol=0)


def test_prompt_length_changes_nothing(batch: Batch) -> None:
    """The formula of LLaMA-Factory and ms-swift (policy only), padded, equals ours unpadded."""
    check_prompt_length(False, batch)


def test_planted_absolute_positions(batch: Batch) -> None:
    with pytest.raises(AssertionError):
        check_prompt_length(True, batch)


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("dpo", {"beta": 0.0}, "beta must be positive, got 0.0"),
        ("ld-dpo", {"alpha": 2.0}, r"alpha must lie in \[0, 1\]"),
        ("simpo", {"gamma": -1.0}, "gamma must not be negative"),
        ("ipo", {"tau": float("nan")}, "tau must be positive"),
        ("r-dpo", {"length_penalty": -0.1}, "length_penalty must not be negative"),
        ("dpop", {"drop_penalty": -0.1}, "drop_penalty must not be negative"),
    ],
)
def test_settings_outside_their_range(name: str, settings: Any, says: str, batch: Batch) -> None:
    with pytest.raises(SettingError, match=says):
        LOSSES[name](batch, **settings)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - REFERENCE_FREE))
def test_a_loss_without_its_reference(name: str, batch: Batch) -> None:
    with pytest.raises(SettingError, match="reference is required by this loss"):
        LOSSES[name](replace(batch, reference=None))
