"""The guard against reward hacking: asserts and calls, judged in a process of their own.

Only for Python; other languages run the asserts behind the code, and must say a number afterwards.
Source: ours; the paper has none. Oracle: tests/sandbox/test_guard.py::test_every_hack_is_named
"""

import dataclasses
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.sandbox.job import Job, Outcome
from burnish.sandbox.verdict import Status

INSIDE = "/judge/inside.py"
SCRIPTS = ("inside.py", "border.py")
EARLY_EXIT = "early exit: the code ended its process with exit code 0 before the tests were done"
KILLED_JUDGE = "the code ended its judge"
NO_MARK = "early exit: the program ended with exit code 0, and not behind the last assert"
FORGED = "forged marker: the program reported an end that it had not reached"

LAST_WORDS = {  # the line behind the last assert, by language
    "bash": "printf %s {nonce} >&3",
    "javascript": 'require("fs").writeSync(3, "{nonce}");',
    "lua": 'local m = io.open("/dev/fd/3", "w"); m:write("{nonce}"); m:close()',
    "perl": 'open(my $mark, ">&=", 3); print $mark "{nonce}"; close($mark);',
    "php": 'fwrite(fopen("php://fd/3", "w"), "{nonce}");',
    "ruby": 'mark = IO.new(3, "w"); mark.write("{nonce}"); mark.close',
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the judge inside reported; `value` is the result of a call."""

    status: Status
    reason: str = ""
    value: Any = None


def asserts_job(job: Job, code: str, asserts: str, *, nonce: str) -> Job:
    """The job that judges `code` by a script of asserts; `job` says how Python runs here."""
    return _guarded(job, {"code": code, "asserts": asserts, "nonce": nonce})


def call_job(job: Job, code: str, function: str, *, args: Sequence[Any], nonce: str) -> Job:
    """The job that calls one function; what it should return is not part of it."""
    request = {"code": code, "function": function, "args": list(args), "nonce": nonce}
    return _guarded(job, request)


def new_nonce() -> str:
    """A number that nobody guesses."""
    return secrets.token_hex(16)


def read_finding(outcome: Outcome, nonce: str) -> Finding:
    """What a guarded job found, provided that it ended by itself."""
    report = _parse(outcome.report)
    if report is None and outcome.signal is None:
        said = outcome.stderr.decode("utf-8", "replace").strip()[-200:]
        return Finding(status=Status.INFRASTRUCTURE_ERROR, reason=f"the judge failed: {said}")
    if report is None:
        return Finding(status=Status.SECURITY_VIOLATION, reason=KILLED_JUDGE)
    if report.get("nonce") != nonce:
        return Finding(status=Status.SECURITY_VIOLATION, reason=FORGED)
    reason = str(report.get("reason", ""))
    if report["status"] == "ended":
        if report["exit_code"] == 0:
            return Finding(status=Status.SECURITY_VIOLATION, reason=EARLY_EXIT)
        ended = reason or f"exit code {report['exit_code']}"
        return Finding(status=Status.RUNTIME_ERROR, reason=f"the code ended: {ended}")
    if report["status"] == "value":
        return Finding(status=Status.ACCEPTED, value=report["value"])
    if report["status"] == Status.RUNTIME_ERROR and reason.startswith("MemoryError"):
        return Finding(status=Status.MEMORY_LIMIT, reason=reason)
    return Finding(status=Status(report["status"]), reason=reason)


def last_words(language: str, nonce: str) -> str | None:
    """The line that says a number behind the last assert; None: the language has none here."""
    words = LAST_WORDS.get(language)
    return None if words is None else words.replace("{nonce}", nonce)


def mark_finding(outcome: Outcome, nonce: str) -> Finding:
    """Whether a program with asserts behind it reached its last line."""
    if outcome.report == nonce.encode():
        return Finding(status=Status.ACCEPTED)
    reason = FORGED if outcome.report else NO_MARK
    return Finding(status=Status.SECURITY_VIOLATION, reason=reason)


def _guarded(job: Job, request: Mapping[str, Any]) -> Job:
    return dataclasses.replace(
        job,
        argv=(job.argv[0], "-s", INSIDE),
        files={},
        stdin=json.dumps(request).encode(),
        mounts={f"/judge/{name}": Path(__file__).with_name(name) for name in SCRIPTS},
        report=True,
    )


def _parse(report: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(report)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "status" in value else None
