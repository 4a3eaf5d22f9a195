"""How likely an answer is right, given how many tests it passes; tests may be wrong, too."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

LEAST, MOST = 2e-4, 1 - 2e-4  # of every rate: no number of tests makes certain
MOST_ALIKE = 0.9
SURE = (0.3, 0.97, 0.3, 0.4)  # a second start: tests that are nearly always right
WEIGHT = 10.0  # the default rates count as much as so many answers when rates are estimated


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the posterior supposes.

    `prior`: the share of right answers. `accuracy`: the chance that a test states what is right, so
    that a right answer passes it. `false_pass`: the mean chance that a wrong answer passes a test.
    `alike`: the correlation between two tests of a wrong answer, since some are wrong everywhere
    and some in a corner that few tests reach; 0: none.
    """

    prior: float = 0.5
    accuracy: float = 0.9
    false_pass: float = 0.35
    alike: float = 0.25


DEFAULT = Rates()


def posterior(
    passed: Float[np.ndarray, " R"], total: Float[np.ndarray, " R"], rates: Rates = DEFAULT
) -> Float[np.ndarray, " R"]:
    """The chance that an answer is right, given how many tests it passes.

    Right answers pass a binomial number, wrong ones a beta-binomial one: an answer that is wrong in
    a corner passes nearly all tests. One failed test of twelve does not condemn an answer.
    Source: XCoder measures tests of 65% to 79% accuracy (section 4); the model of errors is ours.
    Oracle: tests/curate/test_posterior.py::test_the_posterior_is_calibrated
    """
    right, wrong = _log_joint(passed, total, rates)
    return special.expit(right - wrong)


def _log_joint(
    passed: Float[np.ndarray, " R"], total: Float[np.ndarray, " R"], rates: Rates
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """Log-probabilities [nats] of "right" and "wrong" with these counts, one order of the tests."""
    failed = total - passed
    right = np.log(rates.prior) + special.xlogy(passed, rates.accuracy)
    right = right + special.xlog1py(failed, -rates.accuracy)
    wrong = np.log1p(-rates.prior)
    if rates.alike > 0:
        size = 1 / rates.alike - 1
        a, b = rates.false_pass * size, (1 - rates.false_pass) * size
        return right, wrong + special.betaln(passed + a, failed + b) - special.betaln(a, b)
    wrong = wrong + special.xlogy(passed, rates.false_pass)
    return right, wrong + special.xlog1py(failed, -rates.false_pass)


def estimate_rates(passed: Float[np.ndarray, " R"], total: Float[np.ndarray, " R"]) -> Rates:
    """The rates of a pool from its pass counts alone: the most probable ones.

    The default rates weigh as much as ten answers. The component that passes more is that of right
    answers. One test an answer says too little to tell four rates apart; from three on they show.
    Source: maximum a posteriori of a mixture of a binomial and a beta-binomial; ours.
    Oracle: tests/curate/test_posterior.py::test_rates_are_recovered
    """
    pairs, counts = np.unique(np.stack([passed, total], 1), axis=0, return_counts=True)
    usual = np.array([DEFAULT.prior, DEFAULT.accuracy, DEFAULT.false_pass, DEFAULT.alike])

    def cost(logits: Float[np.ndarray, "4"]) -> float:
        right, wrong = _log_joint(pairs[:, 0], pairs[:, 1], _rates(logits))
        found = np.array(list(vars(_rates(logits)).values()))
        held = special.xlogy(usual, found) + special.xlog1py(1 - usual, -found)
        return float(-(counts * np.logaddexp(right, wrong)).sum() - WEIGHT * held.sum())

    exact = {"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-7}
    tries = [optimize.minimize(cost, special.logit(start), method="Nelder-Mead", options=exact)
             for start in (usual, SURE)]  # fmt: skip
    return _rates(min(tries, key=lambda one: one.fun).x)


def _rates(logits: Float[np.ndarray, "4"]) -> Rates:
    """Rates from numbers without bounds; a wrong answer never passes more than a right one."""
    prior, accuracy, lower, alike = map(float, np.clip(special.expit(logits), LEAST, MOST))
    return Rates(
        prior=prior, accuracy=accuracy, false_pass=accuracy * lower, alike=MOST_ALIKE * alike
    )
