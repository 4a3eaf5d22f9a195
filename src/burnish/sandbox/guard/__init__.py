"""The guard against reward hacking: asserts and calls, judged in a process of their own.

Python has two ways. At the *border* the tested code is a process apart from the asserts, and only
plain data crosses. Where something cannot cross, the asserts run *together* with the code, one
statement at a time, under a judge outside. Other languages run the asserts behind the code, and
must say a number afterwards.
Source: ours; the paper has none. Oracle: tests/sandbox/test_guard.py::test_every_hack_is_named
"""

import dataclasses
import enum
import functools
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.sandbox.classify import BY_LIMIT, reason_of
from burnish.sandbox.job import Job, Outcome
from burnish.sandbox.values import read_shown
from burnish.sandbox.verdict import Status

INSIDE = "/judge/inside.py"
SCRIPTS = ("inside.py", "border.py", "crossing.py", "sharing.py", "together.py")
STARTED, STRAINED, SPLIT = b"~!&"  # what `inside.py` writes before its report
EARLY_EXIT = "early exit: the code ended its process with exit code 0 before the tests were done"
KILLED_JUDGE = "the code ended its judge"
NO_MARK = "early exit: the program ended with exit code 0, and not behind the last assert"
NO_JUDGE = "the judge did not start"
FORGED = "forged marker: the program reported an end that it had not reached"


class Way(enum.StrEnum):
    """Where asserts ran: apart from the code, together with it, or behind it in its own file."""

    BORDER = "border"
    TOGETHER = "together"
    BEHIND = "behind"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the judge inside reported; `value` is the result of a call.

    `strained` says that something could not cross the border as it is, so that a verdict against
    the code may be the border's fault; `split`, that the two sides came apart, so that a verdict
    for the code may be, too.
    """

    status: Status
    reason: str = ""
    value: Any = None
    strained: bool = False
    split: bool = False


def asserts_job(job: Job, code: str, asserts: str, *, nonce: str, way: Way = Way.BORDER) -> Job:
    """The job that judges `code` by a script of asserts; `job` says how Python runs here."""
    together = way is Way.TOGETHER
    request = {"code": code, "asserts": asserts, "nonce": nonce, "together": together}
    return _guarded(job, request)


def call_job(job: Job, code: str, function: str, *, args: Sequence[Any], nonce: str) -> Job:
    """The job that calls one function; what it should return is not part of it."""
    request = {"code": code, "function": function, "args": list(args), "nonce": nonce}
    return _guarded(job, request)


def new_nonce() -> str:
    """A nonce."""
    return secrets.token_hex(16)


def nonce_of(code: str, asserts: str) -> str:
    """A nonce that stays the same for these, in this process: their program is compiled once."""
    text = f"{len(code)}:{code}{asserts}".encode("utf-8", "surrogatepass")
    return hmac.new(_secret(), text, "sha256").hexdigest()[:32]


@functools.cache
def _secret() -> bytes:
    return secrets.token_bytes(32)


def read_finding(outcome: Outcome, nonce: str) -> Finding:
    """What a guarded job found, whether it ended by itself or by a limit."""
    rest = outcome.report.lstrip(bytes((STARTED, STRAINED, SPLIT)))
    marks = outcome.report.removesuffix(rest)
    crossing = {"strained": STRAINED in marks, "split": SPLIT in marks}
    if outcome.limit is not None or outcome.failure:
        return dataclasses.replace(_ended(outcome), **crossing)
    if STARTED not in marks:
        said = outcome.stderr.decode("utf-8", "replace").strip()[-200:]
        return Finding(status=Status.INFRASTRUCTURE_ERROR, reason=f"{NO_JUDGE}: {said}")
    report = _parse(rest)
    if report is None:
        return Finding(status=Status.SECURITY_VIOLATION, reason=KILLED_JUDGE)
    if report.get("nonce") != nonce:
        return Finding(status=Status.SECURITY_VIOLATION, reason=FORGED)
    return dataclasses.replace(_reported(report), **crossing)


def _ended(outcome: Outcome) -> Finding:
    limit = outcome.limit
    status = Status.INFRASTRUCTURE_ERROR if limit is None else BY_LIMIT[limit]
    return Finding(status=status, reason=reason_of(outcome))


def _reported(report: Mapping[str, Any]) -> Finding:
    reason, status = str(report.get("reason", "")), report["status"]
    if status == "ended":
        if report["exit_code"] == 0:
            return Finding(status=Status.SECURITY_VIOLATION, reason=EARLY_EXIT)
        ended = reason or f"exit code {report['exit_code']}"
        return Finding(status=Status.RUNTIME_ERROR, reason=f"the code ended: {ended}")
    if status == "value":
        return Finding(status=Status.ACCEPTED, value=read_shown(report["value"]))
    if status in ("unchecked", "uncrossable"):
        return Finding(status=Status.INFRASTRUCTURE_ERROR, reason=reason)
    if status == Status.RUNTIME_ERROR and reason.startswith("MemoryError"):
        return Finding(status=Status.MEMORY_LIMIT, reason=reason)
    return Finding(status=Status(status), reason=reason)


def mark_finding(outcome: Outcome, nonce: str) -> Finding:
    """Whether a program with asserts behind it reached its last line."""
    if outcome.report == nonce.encode():
        return Finding(status=Status.ACCEPTED)
    reason = FORGED if outcome.report else NO_MARK
    return Finding(status=Status.SECURITY_VIOLATION, reason=reason)


def _guarded(job: Job, request: Mapping[str, Any]) -> Job:
    scripts = {f"/judge/{name}": Path(__file__).with_name(name) for name in SCRIPTS}
    return dataclasses.replace(
        job,
        argv=(*job.argv[:-1], INSIDE),
        stdin=json.dumps(request).encode(),
        mounts={**job.mounts, **scripts},
        report=True,
    )


def _parse(report: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(report)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "status" in value else None
