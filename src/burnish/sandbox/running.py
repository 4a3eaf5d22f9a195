"""Run one job: `run_job(job) -> Outcome`."""

import functools
import os
import shutil
import signal
import tempfile
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend, watched_by
from burnish.sandbox.errors import IsolationError
from burnish.sandbox.job import NOT_ENFORCED, Attestation, Job, Limit, Outcome
from burnish.sandbox.launch import Report, launch
from burnish.sandbox.probe import Machine, probe

LIMITS = (  # as launcher.h numbers them
    None, Limit.CPU, Limit.WALL, Limit.MEMORY, Limit.OUTPUT, Limit.PROCESSES,
    Limit.DISK,
)  # fmt: skip
OWN_SIGNALS = {
    int(signal.SIGXCPU): Limit.CPU,
    int(signal.SIGXFSZ): Limit.FILE,
    int(signal.SIGSYS): Limit.FORBIDDEN,
}
PREFERRED = ("namespaces", "bubblewrap", "landlock")
STRICT = "strict"


def run_job(job: Job, *, isolation: str = "auto") -> Outcome:
    """Run a job under the strongest isolation of this machine (`auto`), or the one named.

    `isolation` is `auto`, `strict` (as auto, but nothing runs where a limit cannot be enforced)
    or a spec of `burnish.sandbox.backends` (`namespaces`, `bubblewrap`, `landlock`, `none`).
    Never raises for what the program does. Raises: IsolationError, where the isolation that was
    asked for is not to be had; UnknownNameError, for an unknown isolation.
    """
    backend = choose_backend(isolation)
    machine = backend.seen(probe())
    if not backend.needs_folder:
        groups = None if job.limits.network else machine.groups
        report = launch(backend.records(job, machine, None), job.stdin, groups=groups)
        return _outcome(job, backend, report)
    with tempfile.TemporaryDirectory(prefix="burnish-", ignore_cleanup_errors=True) as folder:
        work = Path(folder) / "work"
        os.chmod(folder, 0o711)  # the job's own user passes through
        job = backend.placed(job, work)
        _write_files(job, work)
        report = launch(backend.records(job, machine, work), job.stdin)
        if job.keep is not None:
            shutil.copytree(work, job.keep, dirs_exist_ok=True, ignore=_only_plain)
    return _outcome(job, backend, report)


@functools.cache
def choose_backend(isolation: str) -> Backend:
    """The back end that `isolation` selects on this machine.

    Raises: IsolationError, where it is not to be had; UnknownNameError, SettingError.
    """
    machine = probe()
    if isolation not in {"auto", STRICT}:
        backend = backends.parse(isolation)
        if trouble := backend.trouble(machine):
            raise _unavailable(isolation, trouble)
        return backend
    wanted = [backends.build(name) for name in PREFERRED]
    working = next((one for one in wanted if not one.trouble(machine)), None)
    if isolation == STRICT:
        _check_strict(working, machine)
        return backends.build("namespaces", strict=True)
    if working:
        return working
    raise _unavailable(isolation, wanted[0].trouble(machine))


def _check_strict(working: Backend | None, machine: Machine) -> None:
    missing = [] if working else [machine.trouble]
    if working and backends.name_of(working) != "namespaces":
        missing.append("namespaces of our launcher")
    missing += [] if machine.seccomp else ["a filter of system calls"]
    missing += [] if machine.user_ns or machine.groups else ["a limit of processes"]
    if missing:
        raise _unavailable(STRICT, ", ".join(missing) + " missing")


def _unavailable(isolation: str, trouble: str) -> IsolationError:
    rule = f"is not available on this machine ({trouble})"
    remedy = "See `burnish sandbox doctor`; --isolation none runs unprotected"
    return IsolationError("isolation", isolation, rule, remedy=remedy)


def _outcome(job: Job, backend: Backend, report: Report) -> Outcome:
    status, failure = int(report.number("status")), report.failure
    if error := int(report.number("exec_error")):
        failure = f"{job.argv[0]} could not be started: {os.strerror(error)}"
    limit = LIMITS[int(report.number("limit"))]
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if limit is None and number is not None:
        limit = OWN_SIGNALS.get(number)
    if limit in LIMITS[1:]:
        number = int(signal.SIGKILL)
    cpu_s = report.number("cpu_s")
    if limit is None and not failure and cpu_s > job.limits.cpu_s:
        limit = Limit.CPU  # it ended by itself between two looks of the keeper
    ended = number is None and not failure
    return Outcome(
        exit_code=os.WEXITSTATUS(status) if ended else None,
        signal=None if failure else number,
        stdout=report.streams.get("stdout", b""),
        stderr=report.streams.get("stderr", b""),
        cpu_s=cpu_s,
        wall_s=report.number("wall_s"),
        memory_bytes=int(report.number("memory_bytes")),
        stdout_truncated=report.truncated.get("stdout", False),
        stderr_truncated=report.truncated.get("stderr", False),
        limit=limit,
        report=report.streams.get("report", b""),
        failure=failure,
        attestation=_attest(job, backend, report, failure),
    )


def _attest(job: Job, backend: Backend, report: Report, failure: str) -> Attestation:
    machine = backend.seen(probe())
    mechanisms = watched_by(job, machine, report)
    if not failure:
        mechanisms |= backend.isolated_by(job, machine, report)
    else:
        mechanisms = dict.fromkeys(mechanisms, NOT_ENFORCED)
    return Attestation(backend=backends.name_of(backend), mechanisms=mechanisms)


def _write_files(job: Job, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    for name, content in job.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if name in job.executable:
            path.chmod(0o755)


def _only_plain(folder: str, names: list[str]) -> set[str]:
    """Names that are neither files nor folders: links lead out of the work folder."""
    paths = {name: Path(folder) / name for name in names}
    return {n for n, p in paths.items() if p.is_symlink() or not (p.is_file() or p.is_dir())}
