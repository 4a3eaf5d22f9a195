"""What is attested is enforced; what is not enforced is said."""

import pytest

from burnish.sandbox.job import MIB, NOT_ENFORCED, Job, Limits
from burnish.sandbox.running import run_job

TRIALS = {  # limit: a script that prints BROKEN if nobody enforces it
    "network": "exec 5<>/dev/udp/1.1.1.1/53 && echo x >&5 && echo BROKEN",
    "files": "[ -e /etc/shadow ] && echo BROKEN",
    "privileges": "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && echo BROKEN",
    "system_calls": "grep -q '^Seccomp:.*0' /proc/self/status && echo BROKEN",
    "num_files": "[ $(ulimit -n) = 64 ] || echo BROKEN",
    "file_bytes": "(head -c 9000000 /dev/zero > f) 2>/dev/null && echo BROKEN",
    "disk_bytes": "head -c 1M /dev/zero > a; for i in {1..30}; do cp a $i || exit; done;"
    " echo BROKEN",
    "num_processes": "for i in {1..40}; do sleep 1 & done 2>&1 | grep -q retry || echo BROKEN",
}
LIMITS = Limits(num_files=64, file_bytes=2 * MIB, disk_bytes=8 * MIB, num_processes=16, wall_s=3)


def check_trials(attested, isolation):
    for limit, script in TRIALS.items():
        job = Job(argv=("/bin/bash", "-c", script), limits=LIMITS)
        broken = b"BROKEN" in run_job(job, isolation=isolation).stdout
        enforced = attested[limit] != NOT_ENFORCED
        assert not (enforced and broken), limit


def test_what_is_attested_is_enforced(namespaces):
    done = run_job(Job(argv=("/usr/bin/true",)))
    assert done.attestation.missing == ()
    check_trials(done.attestation.mechanisms, "namespaces")


def test_planted_false_attestation(namespaces):
    done = run_job(Job(argv=("/usr/bin/true",)))
    with pytest.raises(AssertionError):
        check_trials(done.attestation.mechanisms, "none")


def test_none_attests_little(sandbox_cache):
    attested = run_job(Job(argv=("/usr/bin/true",)), isolation="none").attestation
    assert {"network", "files", "system_calls", "privileges"} <= set(attested.missing)
    assert attested.to_dict()["backend"] == "none"


def test_an_open_network_is_said(namespaces):
    job = Job(argv=("/usr/bin/true",), limits=Limits(network=True))
    assert run_job(job).attestation.mechanisms["network"] == "open, as asked"
