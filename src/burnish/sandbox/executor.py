"""The sandbox as the executor of the contract: trials are judged, several at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from burnish.base.errors import BurnishError
from burnish.contracts.executor import RunState, Trial, TrialResult
from burnish.sandbox.job import Limits
from burnish.sandbox.judging import Judged, judge
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import AssertTest, Problem
from burnish.sandbox.program import find_chain
from burnish.sandbox.verdict import Status


@dataclass(frozen=True, kw_only=True)
class SandboxExecutor:
    """Runs trials in the sandbox. A language without a tool chain here is `not_executable`.

    Source: ours. Oracle: tests/sandbox/test_executor.py::test_states_of_planted_programs
    """

    isolation: str = "auto"
    num_workers: int = 2
    wall_s: float = 3.0
    memory_bytes: int = 512 * 1024 * 1024

    def run(self, trials: Sequence[Trial]) -> list[TrialResult]:
        """Run all trials; equal trials run once."""
        distinct = list(dict.fromkeys(trials))
        with ThreadPoolExecutor(self.num_workers) as pool:
            found = dict(zip(distinct, pool.map(self._one, distinct), strict=True))
        return [found[trial] for trial in trials]

    def _one(self, trial: Trial) -> TrialResult:
        limits = Limits(cpu_s=self.wall_s, wall_s=self.wall_s, memory_bytes=self.memory_bytes)
        try:
            language = find_language(trial.language)
            chain = find_chain(language)
            if isinstance(chain, MissingToolChain):
                return TrialResult(state=RunState.NOT_EXECUTABLE, reason=chain.reason)
            tests = (AssertTest(asserts=trial.asserts),)
            problem = Problem(code=trial.code, language=trial.language, tests=tests, limits=limits)
            return result_of(judge(problem, isolation=self.isolation))
        except BurnishError as error:  # a script without a test, no isolation
            return TrialResult(state=RunState.UNSCORED, reason=str(error))


def result_of(judged: Judged) -> TrialResult:
    """A trial's state from a verdict; only a failure of the machine is `unscored`."""
    states = {
        Status.ACCEPTED: RunState.PASSED,
        Status.COMPILE_ERROR: RunState.NOT_EXECUTABLE,
        Status.INFRASTRUCTURE_ERROR: RunState.UNSCORED,
    }
    reason = judged.reason or judged.verdict.value
    return TrialResult(state=states.get(judged.verdict, RunState.FAILED), reason=reason)
