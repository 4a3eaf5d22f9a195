"""`programs`: tasks whose answer is a program, judged by running it. Where data meets sandbox.

Registered through the entry point group `burnish.plugins`, because `data` may not know `sandbox`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from burnish.base.errors import BurnishError, SettingError
from burnish.contracts.generation import Sampling
from burnish.contracts.task import Judgement, Task, Verdict
from burnish.data.checkers import checkers
from burnish.data.sources import sources
from burnish.sandbox.feedback import extract_code, judge_report
from burnish.sandbox.judging import judge
from burnish.sandbox.problem import Problem, read_problem
from burnish.sandbox.tasks import load_program_tasks
from burnish.sandbox.verdict import Status


@checkers.register("programs")
@dataclass(frozen=True, kw_only=True)
class ProgramChecker:
    """Right exactly when the sandbox accepts the program of the answer on all tests.

    A text without a program is `unparsable`; where the machine fails the answer is `unscored`.
    `metadata` holds `tests` or `asserts`, and `language`, as `burnish.sandbox.tasks` writes them.
    Source: MPLSandbox, arXiv 2410.23074: a reward of +1 means that all tests pass.
    Oracle: tests/sandbox/test_tasks.py::test_references_of_mbpp_are_accepted_and_mutants_are_not
    """

    isolation: str = "auto"

    def check(self, text: str, task: Task) -> Judgement:
        """Judge the program in `text`."""
        code = extract_code(text, str(task.metadata.get("language", "python")))
        if not code.strip():
            return Judgement(verdict=Verdict.UNPARSABLE, reason="the text holds no program")
        try:
            judged = judge(problem_of(task, code), isolation=self.isolation)
        except BurnishError as error:
            return Judgement(verdict=Verdict.UNSCORED, extracted=code, reason=str(error))
        if judged.verdict is Status.INFRASTRUCTURE_ERROR:
            return Judgement(verdict=Verdict.UNSCORED, extracted=code, reason=judged.reason)
        right = judged.verdict is Status.ACCEPTED
        verdict = Verdict.RIGHT if right else Verdict.WRONG
        reason = "" if right else judge_report(judged)
        return Judgement(verdict=verdict, extracted=code, reason=reason)


@sources.register("programs")
@dataclass(frozen=True, kw_only=True)
class ProgramSource:
    """Program tasks: `programs:PATH?language=cpp`, or `programs:humaneval`.

    The format is seen by the rows: MBPP, HumanEval, LeetCodeDataset, or prompt and tests.
    Source: the published formats of these data sets.
    """

    path: str
    language: str = "python"

    @classmethod
    def from_text(cls, text: str) -> "ProgramSource":
        """Read `PATH?language=NAME`. Raises: SettingError."""
        path, _, query = text.partition("?")
        options = dict(parse_qsl(query))
        language = options.pop("language", "python")
        if options or not path:
            remedy = "Write programs:PATH?language=cpp"
            raise SettingError("options", text, "must be a path and a language", remedy=remedy)
        return cls(path=path, language=language)

    def load(self, seed: int) -> list[Task]:
        """All tasks, in the file's order; the seed changes nothing. Raises: as the loader."""
        return load_program_tasks(self.path, language=self.language)


def problem_of(task: Task, code: str) -> Problem:
    """What the sandbox judges. Raises: InputError, for a task without tests."""
    given = dict(task.metadata)
    prefix = str(given.get("prefix", ""))
    whole = f"{prefix}\n{code}" if prefix and prefix.strip() not in code else code
    keys = ("tests", "asserts", "comparator", "limits", "packages")
    row = {key: given[key] for key in keys if given.get(key) is not None}
    return read_problem({**row, "code": whole, "language": given.get("language", "python")})


def ask_model(spec: str, *, max_new_tokens: int = 1024, temperature: float = 0.8) -> Callable:
    """A function from prompt to answer for `burnish.analysis.advise`; loads a local model at once.

    `spec` is a model's spec: embedded, a folder, or a server. T = 0.8 is the paper's.
    """
    from burnish.recipes.answers import load

    writer = load(spec)
    writer.check_chat()
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature)
    return lambda prompt: writer.chat([{"role": "user", "content": prompt}], sampling).text
