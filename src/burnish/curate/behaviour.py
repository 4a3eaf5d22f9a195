"""Behavioural evidence: a sample's functions, run on the benchmark's own tests."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.contracts.executor import Executor, RunState, Trial, TrialResult
from burnish.curate.programs import Definitions, Target
from burnish.data.benchmarks import BenchmarkItem

MAX_FUNCTIONS = 2  # of one sample that are tried on one item
TRIVIAL_NODES = 22  # of a reference: every programmer writes it the same
FAMOUS_NODES = 80
# what textbooks ask: passing its tests says nothing about where a sample comes from
FAMOUS = re.compile(
    r"\b(?:gcd|greatest common divisor|lcm|least common multiple|factorials?|fibonacci|primes?|"
    r"palindromes?|anagrams?|vowels?|leap year|perimeter|roman numerals?|monotonic|average|median|"
    r"(?:largest|smallest|maximum|minimum|biggest) (?:number|element|value|item|divisor|positive)|"
    r"sum of (?:the |all )*(?:digits|numbers|elements|integers)|digits? sum|area of an?|"
    r"(?:even|odd) (?:numbers?|integers?)|binary (?:string|number|representation)|to binary|"
    r"(?:remove|delete) (?:all |the )*duplicates?|unique elements?|common elements?|"
    r"power of|perfect (?:square|cube|number)s?|is a (?:square|cube)|"
    r"reverse (?:of )?(?:a|the) (?:string|list|number)|concatenate|flip|swap ?case|"
    r"(?:correct|balanced|matching|valid) (?:brackets?|bracketing|parenthes[ei]s)|"
    r"length of (?:a |the |given )*string|(?:upper|lower) ?case (?:letters?|characters?))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Asked:
    """A row and an item that may contain the same solution."""

    row: int
    item: int


@dataclass(frozen=True)
class Evidence:
    """The outcome of running a row's functions on an item's tests."""

    state: RunState
    function: str = ""
    reason: str = ""


def trials_of(program: Definitions, item: BenchmarkItem, target: Target) -> dict[str, Trial]:
    """A trial for each function that could be meant: its number of arguments fits.

    The function gets the name that the tests call; nothing that the sample runs or prints counts.
    """
    num = target.num_arguments
    fitting = [name for name, (least, most) in program.functions.items() if least <= num <= most]
    fitting.sort(key=lambda name: name != target.entry)  # the same name first, else the last ones
    own = fitting[:1] if fitting and fitting[0] == target.entry else []
    chosen = own or fitting[::-1][:MAX_FUNCTIONS]
    found = {}
    for name in chosen:
        alias = "" if name == target.entry else f"\n{target.entry} = {name}\n"
        code = f"{item.context}\n{program.code}\n{alias}"
        found[name] = Trial(code=code, asserts=item.asserts)
    return found


def run_asked(
    asked: Sequence[Asked],
    programs: Mapping[int, Definitions],
    items: Sequence[BenchmarkItem],
    targets: Mapping[int, Target],
    executor: Executor,
) -> dict[Asked, Evidence]:
    """Evidence for every pair; one passing function is enough.

    Source: ours. Oracle: tests/curate/test_behaviour.py::test_planted_samples
    """
    plan = [
        (pair, name, trial)
        for pair in asked
        for name, trial in trials_of(
            programs[pair.row], items[pair.item], targets[pair.item]
        ).items()
    ]
    results = executor.run([trial for _, _, trial in plan])
    found: dict[Asked, Evidence] = {}
    for (pair, name, _), result in zip(plan, results, strict=True):
        old = found.get(pair)
        if old is None or _better(result, old):
            found[pair] = Evidence(result.state, name, result.reason)
    return found


def _better(result: TrialResult, old: Evidence) -> bool:
    order = [RunState.UNSCORED, RunState.NOT_EXECUTABLE, RunState.FAILED, RunState.PASSED]
    return order.index(result.state) > order.index(old.state)


def is_common(item: BenchmarkItem, target: Target) -> bool:
    """Whether the function is so common that many would write it without having seen the item.

    So it is where the reference is tiny, or short and asks for what textbooks ask.
    Source: ours; sizes set on MBPP's references against HumanEval's tests
    (benchmarks/curate_behaviour.py).
    Oracle: tests/curate/test_behaviour.py::test_common_knowledge
    """
    if not target.num_nodes:
        return False
    if target.num_nodes <= TRIVIAL_NODES:
        return True
    asked = f"{item.entry} {item.prompt}".replace("_", " ")
    return target.num_nodes <= FAMOUS_NODES and bool(FAMOUS.search(asked))
