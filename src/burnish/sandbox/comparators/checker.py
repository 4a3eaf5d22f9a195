"""`checker`: a program decides. It runs in the sandbox, too."""

from dataclasses import dataclass

from burnish.base.errors import SettingError
from burnish.base.files import read_text
from burnish.sandbox.comparators import comparators
from burnish.sandbox.comparators.comparator import ACCEPTED, Match
from burnish.sandbox.job import Limits, Outcome
from burnish.sandbox.languages import find_language
from burnish.sandbox.program import Program, job_of, prepare
from burnish.sandbox.running import run_job
from burnish.sandbox.verdict import Status

FILES = ("input.txt", "output.txt", "answer.txt")
VERDICTS = {
    0: Status.ACCEPTED,
    1: Status.WRONG_ANSWER,
    2: Status.PRESENTATION_ERROR,
    42: Status.ACCEPTED,
    43: Status.WRONG_ANSWER,
}
CRASHES = ("Traceback (most recent call last)", "\n    at ")  # runtimes end crashes with 1, too


@comparators.register("checker")
@dataclass(frozen=True, kw_only=True)
class CheckerComparator:
    """Runs a checker with three files as arguments: input, output, answer.

    Exit code 0 accepts, 1 is a wrong answer, 2 a presentation error, as testlib has it; 42 accepts
    and 43 is a wrong answer, as Kattis has it. All else, and a crash, mean that the checker itself
    failed, which is never held against the program. What it prints is the reason.
    The code is in `code`, or in `file`.
    Source: ours, with the arguments of testlib.
    Oracle: tests/sandbox/test_comparators.py::test_a_checker_program_decides
    """

    code: str = ""
    file: str = ""
    language: str = "python"

    def __post_init__(self) -> None:
        if bool(self.code) == bool(self.file):
            remedy = "Write checker:file=check.py, or give the code"
            raise SettingError("checker", self.file, "needs either code or a file", remedy=remedy)

    def compare(self, output: str, expected: str, stdin: str) -> Match:
        """Run the checker and read its verdict from its exit code."""
        program = prepare(self.code or read_text(self.file), find_language(self.language))
        if not isinstance(program, Program):
            said = program.stderr.decode(errors="replace") if isinstance(program, Outcome) else ""
            return _failed(said or getattr(program, "reason", ""))
        job = job_of(program, limits=Limits())
        contents = (text.encode("utf-8", "replace") for text in (stdin, output, expected))
        files = {**job.files, **dict(zip(FILES, contents, strict=True))}
        job = type(job)(**{**vars(job), "argv": (*job.argv, *FILES), "files": files})
        outcome = run_job(job)
        reason = (outcome.stdout + outcome.stderr).decode(errors="replace").strip()[:200]
        status = VERDICTS.get(outcome.exit_code) if outcome.exit_code is not None else None
        crashed = any(mark in outcome.stderr.decode(errors="replace") for mark in CRASHES)
        if status is None or crashed or outcome.limit is not None:
            return _failed(reason or outcome.failure)
        return ACCEPTED if status is Status.ACCEPTED else Match(status=status, reason=reason)


def _failed(reason: str) -> Match:
    reason = f"the checker failed: {reason[:200]}"
    return Match(status=Status.INFRASTRUCTURE_ERROR, reason=reason)
