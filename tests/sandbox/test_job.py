"""The limits of a job: what users rely on without naming it."""

from dataclasses import asdict, replace

import pytest

from burnish.base.errors import SettingError
from burnish.sandbox.executor import SandboxExecutor
from burnish.sandbox.job import MIB, NOT_ENFORCED, Attestation, Job, Limit, Limits, Outcome
from burnish.sandbox.languages import find_language, languages

USUAL = Limits(
    cpu_s=10, wall_s=20, memory_bytes=512 * MIB, num_processes=64, output_bytes=8 * MIB,
    file_bytes=64 * MIB, num_files=256, disk_bytes=128 * MIB, network=False,
)  # fmt: skip
COMPILING = replace(USUAL, cpu_s=30, wall_s=60, memory_bytes=1024 * MIB, disk_bytes=256 * MIB)
LARGER = {
    "go": {"cpu_s": 90, "wall_s": 180, "memory_bytes": 1536 * MIB, "num_processes": 256,
           "file_bytes": 256 * MIB, "disk_bytes": 512 * MIB},
    "rust": {"cpu_s": 60, "wall_s": 120, "memory_bytes": 1536 * MIB, "num_processes": 128},
}  # fmt: skip


def test_limits_of_a_run_that_names_none():
    assert Limits() == USUAL
    assert Job(argv=("/bin/true",)).limits == USUAL
    executor = {"isolation": "auto", "num_workers": 2, "wall_s": 3, "memory_bytes": 512 * MIB}
    assert asdict(SandboxExecutor()) == executor


@pytest.mark.parametrize("name", languages.names())
def test_limits_of_a_compiler(name):
    assert find_language(name).compile_limits == replace(COMPILING, **LARGER.get(name, {}))


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", sorted({*vars(USUAL)} - {"network"}))
def test_limits_are_positive_and_finite(name, value):
    with pytest.raises(SettingError, match=rf"^limits\.{name} must be positive"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "./a", "a//b", "a/", "a\0b", ".."])
def test_files_stay_inside_the_work_folder(name):
    with pytest.raises(SettingError, match=r"^job\.files must stay inside the work folder"):
        Job(argv=("/bin/true",), files={name: b""})
    assert Job(argv=("/bin/true",), files={"a/b.c": b"", "..a": b"", "a b": b""}).files


@pytest.mark.parametrize("argv", [(), ("true",), ("./true",)])
def test_programs_are_named_in_full(argv):
    with pytest.raises(SettingError, match=r"^job\.argv must begin with an absolute path"):
        Job(argv=argv)


def test_an_outcome_is_fine_where_nothing_went_wrong():
    fine = Outcome(
        exit_code=0, signal=None, stdout=b"", stderr=b"", cpu_s=0, wall_s=0, memory_bytes=1
    )
    assert fine.ok
    for wrong in ({"exit_code": 1}, {"limit": Limit.CPU}, {"failure": "no room"}):
        assert not replace(fine, **wrong).ok
    partly = Attestation(backend="x", mechanisms={"cpu_s": "keeper", "num_files": NOT_ENFORCED})
    assert partly.missing == ("num_files",)
    assert partly.to_dict() == {"backend": "x", "cpu_s": "keeper", "num_files": NOT_ENFORCED}
