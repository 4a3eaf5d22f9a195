"""The grader beside Math-Verify 0.9 in one process: speed, agreement, neighbours of a hang.

    python benchmarks/critique_grader.py [--rounds 7]

Both read and compare the same generated pairs, of which half are equal by construction; a round
grades all pairs with one, then with the other. Ratios are of medians over rounds. Caches are
emptied before each round. Needs `math-verify==0.9.0`; without it only our own numbers are written.
`neighbours` starts eight threads, one of which asks a question that hangs.
"""

import argparse
import importlib.util
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from recording import median, save

from burnish.data.math.answer import read_answer
from burnish.data.math.grade import answer_classes, grade

Pair = tuple[str, str, bool]
HANGS = "\\sum_{k=1}^{\\infty} \\frac{\\sin(k^{k})}{k^{k}+\\cos(k!)}"


def numbers(num: int, seed: int) -> list[Pair]:
    """Integers, decimals and fractions."""
    rng, found = random.Random(seed), list[Pair]()
    for i in range(num):
        same, a, b, k = (
            rng.random() < 0.5,
            rng.randint(1, 999),
            rng.randint(2, 99),
            rng.randint(2, 5),
        )
        off = 0 if same else 1
        found.append(
            [
                (str(a * b), str(a * b + off), same),
                (f"{a}.{b:02d}", f"{a}.{(b + off) % 100:02d}", same),
                (f"\\frac{{{a}}}{{{b}}}", f"{a * k + off}/{b * k}", same),
            ][i % 3]
        )
    return found


def mixed(num: int, seed: int) -> list[Pair]:
    """Answers as in MATH: roots, polynomials, sets, tuples, intervals, multiples of pi."""
    rng, found = random.Random(seed), list[Pair]()
    for i in range(num):
        same = rng.random() < 0.5
        a, b, c, off = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9), 0 if same else 1
        found.append(
            [
                (f"{a}\\sqrt{{{b}}}", f"\\sqrt{{{a * a * b + off}}}", same),
                (f"(x+{a})(x-{b})", f"x^2-{a * b + off}+{a}x-{b}x", same),
                (f"\\{{{a},{a + b}\\}}", f"\\{{{a + b + off},{a}\\}}", same),
                (f"({a},\\frac{{{b}}}{{{c}}})", f"({a + off},{b}/{c})", same),
                (f"[{a},{a + b})", f"[{a},{a + b + off})", same),
                (
                    f"\\frac{{{a}x+{b}}}{{{c}}}",
                    f"\\frac{{{a}x}}{{{c}}}+\\frac{{{b + off}}}{{{c}}}",
                    same,
                ),
                (f"{a * b}\\pi", f"{a}\\cdot {b}\\pi" if same else f"{a}\\cdot {b + 1}\\pi", same),
            ][i % 7]
        )
    return found


def timed(grades: Callable[[str, str], bool], pairs: list[Pair]) -> tuple[float, list[bool]]:
    """Seconds for all pairs, caches emptied, and the verdicts."""
    read_answer.cache_clear()
    started = time.perf_counter()
    verdicts = [grades(gold, answer) for gold, answer, _ in pairs]
    return time.perf_counter() - started, verdicts


def ours(gold: str, answer: str) -> bool:
    """Our verdict."""
    return grade(gold, answer).correct


def theirs() -> Callable[[str, str], bool] | None:
    """Math-Verify's verdict, as its readme has it."""
    if importlib.util.find_spec("math_verify") is None:
        return None
    import math_verify

    def verdict(gold: str, answer: str) -> bool:
        return math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(f"${answer}$"))

    return verdict


def compare(pairs: list[Pair], rounds: int) -> dict[str, Any]:
    """Both graders in turns on the same pairs."""
    peer, truth = theirs(), [same for _, _, same in pairs]
    graders = {"ours": ours} | ({"math_verify": peer} if peer else {})
    seconds: dict[str, list[float]] = {name: [] for name in graders}
    right: dict[str, float] = {}
    for grader in graders.values():
        timed(grader, pairs[:3])
    for _ in range(rounds):
        for name, grader in graders.items():
            spent, verdicts = timed(grader, pairs)
            seconds[name].append(spent)
            right[name] = sum(a == b for a, b in zip(verdicts, truth, strict=True)) / len(truth)
    found: dict[str, Any] = {"num_pairs": len(pairs), "agrees_with_truth_frac": right}
    found |= {f"{name}_s": median(values) for name, values in seconds.items()}
    if peer:
        ratios = [b / a for a, b in zip(seconds["ours"], seconds["math_verify"], strict=True)]
        found["times_faster"] = median(ratios)
    return found


def neighbours() -> dict[str, Any]:
    """Seconds of seven symbolic questions beside one that hangs, and of that one."""
    grade("1/2", "\\int_0^1 x \\, dx")  # the first call starts the worker
    spent: dict[str, float] = {}

    def ask(name: str, gold: str, answer: str) -> None:
        started = time.perf_counter()
        verdict = grade(gold, answer).verdict
        spent[f"{name}:{verdict}"] = time.perf_counter() - started

    jobs = [("hung", "1", HANGS)]
    jobs += [(f"neighbour {i}", f"{i + 1}/2", f"\\int_0^1 {i + 1}x \\, dx") for i in range(7)]
    threads = [threading.Thread(target=ask, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": spent, "longest_s": max(spent.values())}


def votes(num: int) -> dict[str, Any]:
    """Classes of many votes against all pairwise comparisons."""
    rng = random.Random(0)
    texts = [rng.choice(["1/2", "0.5", "50%", "\\frac{2}{4}", "2/3", "0.6"]) for _ in range(num)]
    read_answer.cache_clear()
    started = time.perf_counter()
    classes = answer_classes(texts)
    by_class = time.perf_counter() - started
    read_answer.cache_clear()
    started = time.perf_counter()
    pairwise = [[ours(a, b) for b in texts] for a in texts]
    by_pairs = time.perf_counter() - started
    same = all(pairwise[i][j] == (classes[i] == classes[j]) for i in range(num) for j in range(num))
    return {"num": num, "times_faster": by_pairs / by_class, "identical": same}


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=210)
    given = parser.parse_args()
    rows = {
        "numbers": compare(numbers(given.pairs, 1), given.rounds),
        "mixed": compare(mixed(given.pairs // 3, 2), given.rounds),
        "neighbours": neighbours(),
        "votes": votes(256),
    }
    save("critique_grader", rows, peers=["math-verify", "sympy"])


if __name__ == "__main__":
    main()
