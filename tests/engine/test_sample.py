"""Sampling against exact probabilities, transformers' filters and a hash written out."""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from burnish.base.errors import IncompleteError, SettingError
from burnish.contracts.generation import Request, Sampling
from burnish.draft.choice import generate_with
from burnish.engine import sample as sample_module
from burnish.engine.generate import generate
from burnish.engine.sample import (
    biased,
    discouraged,
    filtered,
    keyed_noise,
    likeliest,
    next_tokens,
    top_logprobs,
)

Next = Callable[..., list[int]]
NUM_DRAWS = 20_000


def logits_of(num_rows: int, *, seed: int = 0, size: int = 97, spread: float = 3.0) -> Tensor:
    return torch.randn(num_rows, size, generator=torch.Generator().manual_seed(seed)) * spread


def check_frequencies(next_of: Next) -> None:
    """Drawn tokens pass a chi-square test against the softmax, over seeds and over positions.

    Seeded, so a pass is a pass for ever; an honest sampler fails one seeding in a million.
    """
    logits = logits_of(1, size=13, spread=1.5)
    sampling = [Sampling(temperature=0.7, seed=seed) for seed in range(NUM_DRAWS)]
    rows = logits.expand(NUM_DRAWS, -1)
    over_seeds = next_of(rows, sampling, [0] * NUM_DRAWS)
    over_positions = next_of(rows, sampling[:1] * NUM_DRAWS, list(range(NUM_DRAWS)))
    wanted = (logits[0].double() / 0.7).softmax(-1) * NUM_DRAWS
    for drawn in (over_seeds, over_positions):
        counts = torch.bincount(torch.tensor(drawn), minlength=13).double()
        assert stats.chisquare(counts.numpy(), wanted.numpy()).pvalue > 1e-6
    pairs = torch.zeros(13, 13, dtype=torch.double)  # neighbours in position are independent
    for one, other in zip(over_positions[::2], over_positions[1::2], strict=True):
        pairs[one, other] += 1
    p = wanted / NUM_DRAWS
    joint = (p[:, None] * p[None, :] * NUM_DRAWS / 2).flatten()
    rare = joint < 5
    counts = torch.cat([pairs.flatten()[~rare], pairs.flatten()[rare].sum()[None]])
    expected = torch.cat([joint[~rare], joint[rare].sum()[None]])
    assert stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 1e-6


def test_frequencies_equal_probabilities() -> None:
    check_frequencies(next_tokens)


@pytest.mark.parametrize("temperature", [5e-324, 1e-30, 1e-8])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    logits = torch.randn(3, 11, generator=torch.Generator().manual_seed(0))
    cold = [Sampling(temperature=temperature, seed=1)] * 3
    assert next_tokens(logits.clone(), cold, [0, 1, 2]) == logits.argmax(-1).tolist()


def test_a_penalty_near_zero_draws_a_token_seen() -> None:
    logits, seen = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[True, False, False]])
    wild = [Sampling(temperature=1.0, repetition_penalty=1e-320, seed=1)]
    assert next_tokens(logits, wild, [0], seen) == [0]


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[..., Any]) -> None:
    monkeypatch.setattr(sample_module, name, change)
    with pytest.raises(AssertionError):
        check_frequencies(next_tokens)


def test_planted_noise_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "keyed_noise", lambda keys, tokens: keyed_noise(keys, tokens) * 0.9)


def test_planted_noise_without_position(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = sample_module._key
    spoil(monkeypatch, "_key", lambda seed, position: exact(seed, 0))


def test_planted_noise_of_neighbouring_positions_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = sample_module._key
    spoil(monkeypatch, "_key", lambda seed, position: exact(seed, position // 2))


def splitmix(seed: int, position: int, token: int) -> float:
    """The noise in plain Python integers: SplitMix64's finaliser, then -log(-log(u))."""
    mask = (1 << 64) - 1
    key = hashlib.blake2b(f"{seed}/{position}".encode(), digest_size=8).digest()
    state = (int.from_bytes(key, "big") + token * 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    uniform = (((state ^ (state >> 31)) >> 11) + 0.5) / 2**53
    return -math.log(-math.log(uniform))


def test_noise_is_splitmix() -> None:
    draws = [(3, 0, 0), (3, 0, 1), (3, 0, 49151), (-8, 1000, 5), (-8, 1000, 6), (0, 0, 7)]
    keys = torch.tensor([sample_module._key(seed, position) for seed, position, _ in draws])
    found = keyed_noise(keys, torch.tensor([token for *_, token in draws]))
    assert found.tolist() == pytest.approx([splitmix(*draw) for draw in draws], rel=1e-6)


def check_filters(filter_rows: Callable[[Tensor, Sequence[Sampling]], Tensor]) -> None:
    """Rows with different settings, all at once, equal transformers' warpers one after another."""
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    settings = [
        Sampling(temperature=t, top_k=k, top_p=p, min_p=m)
        for t in (1.0, 0.6, 1.7)
        for k in (0, 1, 5, 500)
        for p in (1.0, 0.9, 0.3, 0.001)
        for m in (0.0, 0.1, 0.9)
    ]
    logits = logits_of(len(settings))
    found = filter_rows(logits.clone(), settings)
    for row, s in enumerate(settings):
        warpers = LogitsProcessorList([TemperatureLogitsWarper(s.temperature)])
        warpers += [TopKLogitsWarper(s.top_k)] if s.top_k else []
        warpers += [TopPLogitsWarper(s.top_p)] if s.top_p < 1 else []
        warpers += [MinPLogitsWarper(s.min_p)] if s.min_p else []
        wanted = warpers(None, logits[row : row + 1].clone())[0]
        torch.testing.assert_close(found[row], wanted, atol=1e-6, rtol=1e-6)


def test_filters_equal_transformers() -> None:
    check_filters(filtered)


def test_planted_top_p_drops_the_crossing_token() -> None:
    def strict(logits: Tensor, settings: Sequence[Sampling]) -> Tensor:
        found = filtered(logits, settings)
        for row, s in enumerate(settings):
            if s.top_p < 1 and len(kept := found[row].isfinite().nonzero()) > 1:
                found[row, kept[found[row][kept].argmin()]] = -torch.inf
        return found

    with pytest.raises(AssertionError):
        check_filters(strict)


def test_planted_temperature_after_the_filters() -> None:
    def late(logits: Tensor, settings: Sequence[Sampling]) -> Tensor:
        plain = [Sampling(**{**vars(s), "temperature": 1.0}) for s in settings]
        temperatures = torch.tensor([s.temperature for s in settings])[:, None]
        return filtered(logits, plain) / temperatures

    with pytest.raises(AssertionError):
        check_filters(late)


def test_top_k_keeps_ties() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0]])
    kept = filtered(logits, [Sampling(temperature=1.0, top_k=1)]).isfinite()[0]
    assert kept.tolist() == [False, True, True, False]


def check_candidates(search: Callable[..., Any]) -> None:
    """The same tokens with the same numbers as the filter keeps, ties included, in any format."""
    for size, top_k, step in ((97, 5, 0.0), (1000, 50, 0.0), (1000, 50, 0.5), (4099, 7, 0.01)):
        logits = logits_of(5, size=size, spread=4.0)
        if step:
            logits = (logits / step).round() * step
        logits[2, :-3] = float("-inf")  # a grammar that permits three tokens
        for dtype in (torch.float32, torch.bfloat16):
            settings = [Sampling(temperature=t, top_k=top_k) for t in (1.0, 0.6, 1.7, 0.01, 3.0)]
            wanted = filtered(logits.to(dtype).float(), settings)
            for rows in (slice(0, 5), slice(3, 4)):
                kept, tokens = search(logits.to(dtype)[rows], settings[rows], top_k)
                found = torch.full((len(kept), size), float("-inf"))
                if tokens is None:
                    found = kept
                else:
                    for row, places in enumerate(kept > float("-inf")):
                        found[row, tokens[row][places]] = kept[row][places]
                assert torch.equal(found, wanted[rows])


def test_candidates_are_what_the_filter_keeps() -> None:
    check_candidates(likeliest)
    logits = logits_of(4, size=5000)
    settings = [Sampling(temperature=t, top_k=20) for t in (0.5, 1.0, 2.0, 4.0)]
    _, tokens = likeliest(logits, settings, 20)
    assert tokens is not None and tokens.shape == (4, 20 * 64)  # not searched as a whole
    for row in tokens:
        assert row.tolist() == sorted(set(row.tolist()))


def test_planted_search_of_too_few_blocks() -> None:
    def hasty(logits: Tensor, settings: Sequence[Sampling], top_k: int) -> Any:
        kept, tokens = likeliest(logits, settings, top_k)
        if tokens is None:
            return kept, tokens
        return kept[:, : -sample_module.BLOCK], tokens[:, : -sample_module.BLOCK]

    with pytest.raises(AssertionError):
        check_candidates(hasty)


def test_candidates_change_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of every kind together, and large vocabularies: as if all tokens were filtered."""
    logits = logits_of(240, size=3001, spread=4.0)
    settings = [
        Sampling(temperature=t, top_k=k, top_p=p, min_p=m, seed=seed)
        for seed in range(5)
        for t in (0.0, 0.6, 1.3)
        for k in (0, 1, 50, 5000)
        for p, m in ((1.0, 0.0), (0.9, 0.0), (1.0, 0.1), (0.8, 0.02))
    ]
    quick = next_tokens(logits, settings, list(range(240)))
    monkeypatch.setattr(sample_module, "MOST_CANDIDATES", -1)
    assert next_tokens(logits, settings, list(range(240))) == quick


def check_penalty(penalise: Callable[..., Tensor]) -> None:
    """Seen tokens, of either sign of logit, as transformers' processor."""
    from transformers import RepetitionPenaltyLogitsProcessor

    penalties = [1.0, 1.3, 0.8]
    logits = logits_of(3)
    texts = [[1, 5, 9, 5], [2], [50, 51, 52, 96]]
    seen = torch.zeros(3, 97, dtype=torch.bool)
    for row, tokens in enumerate(texts):
        seen[row, tokens] = True
    found = penalise(logits, [Sampling(repetition_penalty=p) for p in penalties], seen)
    for row, (penalty, tokens) in enumerate(zip(penalties, texts, strict=True)):
        processor = RepetitionPenaltyLogitsProcessor(penalty)
        wanted = processor(torch.tensor([tokens]), logits[row : row + 1].clone())[0]
        torch.testing.assert_close(found[row], wanted)


def test_penalty_equals_transformers() -> None:
    check_penalty(sample_module._penalised)


def test_planted_penalty_rewards_negative_logits() -> None:
    def divided(logits: Tensor, settings: Sequence[Sampling], seen: Tensor) -> Tensor:
        penalty = torch.tensor([s.repetition_penalty for s in settings])[:, None]
        return torch.where(seen, logits / penalty, logits)

    with pytest.raises(AssertionError):
        check_penalty(divided)


def test_rows_do_not_depend_on_each_other() -> None:
    """Greedy and sampled rows with all kinds of filters: the same token alone and together."""
    settings = [
        Sampling(),
        Sampling(temperature=1.0, seed=5),
        Sampling(temperature=1.0, seed=5, top_k=3),
        Sampling(temperature=0.5, seed=6, top_p=0.8, repetition_penalty=1.4),
        Sampling(repetition_penalty=5.0),
        Sampling(temperature=3.0, seed=7, min_p=0.05),
    ]
    logits, positions = logits_of(6), [0, 3, 3, 9, 1, 2]
    seen = logits_of(6, seed=1) > 0
    together = next_tokens(logits, settings, positions, seen)
    alone = [
        next_tokens(logits[i : i + 1], settings[i : i + 1], positions[i : i + 1], seen[i : i + 1])
        for i in range(6)
    ]
    assert [[token] for token in together] == alone
    assert together[0] == int(logits[0].argmax())


def test_dropping_negligible_tokens_changes_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = logits_of(400, spread=8.0)
    settings = [Sampling(temperature=1.0, seed=seed) for seed in range(400)]
    quick = next_tokens(logits, settings, [0] * 400)
    monkeypatch.setattr(sample_module, "NEGLIGIBLE_NATS", 1e9)
    assert next_tokens(logits, settings, [0] * 400) == quick


@pytest.mark.parametrize(
    "setting",
    [
        {"max_new_tokens": 0}, {"temperature": -0.1}, {"top_k": -1}, {"top_p": 0.0},
        {"top_p": 1.1}, {"min_p": 1.0}, {"repetition_penalty": 0.0}, {"stop": ("a", "")},
    ],
)  # fmt: skip
def test_settings_outside_their_range(setting: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(setting))):
        Sampling(**setting)


def check_discouraged(discourage: Any) -> None:
    """Two rows by hand: -0.5 a time and -1 once; nothing."""
    logits = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    settings = [Sampling(frequency_penalty=0.5, presence_penalty=1.0), Sampling()]
    counts = torch.tensor([[0.0, 1.0, 4.0], [0.0, 1.0, 4.0]])
    found = discourage(logits, settings, counts)
    assert found.tolist() == [[1.0, 0.5, 0.0], [1.0, 2.0, 3.0]]


def test_frequency_and_presence_penalties_by_hand() -> None:
    check_discouraged(discouraged)


def test_planted_presence_counted_each_time() -> None:
    def wrong(logits: Any, settings: Any, counts: Any) -> Any:
        both = [s.frequency_penalty + s.presence_penalty for s in settings]
        return logits - torch.tensor(both)[:, None] * counts

    with pytest.raises(AssertionError):
        check_discouraged(wrong)


def check_biased(bias: Any) -> None:
    """Two rows by hand, one token named twice; rows without a bias keep their bits."""
    logits = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]).bfloat16()
    pairs = ((0, 5.0), (2, -100.0), (0, 0.5))
    found = bias(logits, [Sampling(logit_bias=pairs), Sampling(), Sampling(logit_bias=((1, 2.0),))])
    assert found.tolist() == [[6.5, 2.0, -97.0], [1.0, 2.0, 3.0], [1.0, 4.0, 3.0]]
    assert logits.tolist() == [[1.0, 2.0, 3.0]] * 3
    assert bias(logits, [Sampling()] * 3) is logits


def test_bias_is_added_to_the_named_tokens() -> None:
    check_biased(biased)


def test_planted_bias_that_replaces() -> None:
    def wrong(logits: Any, settings: Any) -> Any:
        logits = logits.float().clone()
        for row, sampling in enumerate(settings):
            for token, value in sampling.logit_bias:
                logits[row, token] = value
        return logits

    with pytest.raises(AssertionError):
        check_biased(wrong)


def test_a_bias_forces_and_forbids(tiny_model: Any) -> None:
    """In the real loop, greedy and drafted, beside a text without one."""
    model = tiny_model("llama")
    plain = Request(id="p", prompt=(5, 6), sampling=Sampling(max_new_tokens=6))
    (wanted,) = generate(model, [plain])
    forced = Sampling(max_new_tokens=6, logit_bias=((17, 100.0),))
    barred = Sampling(max_new_tokens=6, logit_bias=tuple((t, -100.0) for t in {*wanted.tokens}))
    requests = [plain, *(Request(id="b", prompt=(5, 6), sampling=s) for s in (forced, barred))]
    for draft in ("plain", "ngram"):
        alone, seventeen, other = generate_with(model, requests, draft=draft)
        assert alone.tokens == wanted.tokens
        assert seventeen.tokens == (17,) * 6
        assert not {*other.tokens} & {*wanted.tokens}
    with pytest.raises(SettingError, match="logit_bias"):
        Sampling(logit_bias=((3, float("nan")),))
    outside = Request(id="o", prompt=(5,), sampling=Sampling(logit_bias=((269, 1.0),)))
    with pytest.raises(SettingError, match="below the model's vocabulary"):
        generate(model, [outside])


def test_penalties_must_be_finite() -> None:
    with pytest.raises(SettingError, match="presence_penalty"):
        Sampling(presence_penalty=float("inf"))


def test_logprobs_equal_log_softmax() -> None:
    logits = torch.randn(269, generator=torch.Generator().manual_seed(1)).bfloat16()
    exact = logits.double().exp() / logits.double().exp().sum()
    found = top_logprobs(logits, 17, 3)
    assert found.logprob == pytest.approx(float(exact[17].log()), abs=1e-5)
    likeliest = exact.topk(3)
    assert [token for token, _ in found.top] == likeliest.indices.tolist()
    values = [value for _, value in found.top]
    assert values == pytest.approx(likeliest.values.log().tolist(), abs=1e-5)
    assert top_logprobs(logits, 17, 0).top == ()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_diverged_is_named(temperature: float) -> None:
    logits, sampling = logits_of(3), [Sampling(temperature=temperature)] * 3
    logits[1] = math.nan
    with pytest.raises(IncompleteError, match=r"must be numbers, got nan\. The weights"):
        next_tokens(logits, sampling, [0] * 3)
