"""The compile cache: compiled once, and never the wrong program."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from burnish.sandbox import program as module
from burnish.sandbox.job import Limits, Outcome
from burnish.sandbox.languages import find_language
from burnish.sandbox.program import Program, job_of, prepare, raised
from burnish.sandbox.run import run_job

CODE = '#include <stdio.h>\nint main(void) { printf("%d", NUMBER); }'

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")


@pytest.fixture
def compiled(namespaces, tmp_path, monkeypatch):
    """An empty cache, and a count of the compilers that ran."""
    runs = []
    monkeypatch.setattr("burnish.sandbox.program.cache_folder", lambda: tmp_path)

    def counted(job, **options):
        runs.append(job.argv)
        return run_job(job, **options)

    monkeypatch.setattr("burnish.sandbox.program.run_job", counted)
    return runs


def printed(code, spec="c"):
    found = prepare(code, find_language(spec))
    assert isinstance(found, Program), found
    return run_job(job_of(found)).stdout


def test_compiled_once_and_run_often(compiled):
    code = CODE.replace("NUMBER", "7")
    assert [printed(code) for _ in range(3)] == [b"7"] * 3
    assert len(compiled) == 1


def test_the_cache_knows_what_decides(compiled, monkeypatch):
    sizes = '#include <stdio.h>\nint main(void) { printf("%d %ld", NUMBER, __STDC_VERSION__); }'
    assert printed(sizes.replace("NUMBER", "1")) == b"1 201710"
    assert printed(sizes.replace("NUMBER", "2")) == b"2 201710"  # the code
    assert printed(sizes.replace("NUMBER", "2"), "c:standard=c11") == b"2 201112"  # the flags
    assert len(compiled) == 3
    chain = module.find_chain(find_language("c"))
    newer = type(chain)(**{**vars(chain), "version": "another"})
    monkeypatch.setattr(module, "find_chain", lambda language: newer)
    assert printed(sizes.replace("NUMBER", "2")) == b"2 201710"
    assert len(compiled) == 4  # the compiler's version


def test_planted_cache_by_code_alone(compiled, monkeypatch):
    """A key without the flags returns the wrong program; the oracle above would see it."""
    monkeypatch.setattr(module.languages, "spec", lambda language: "c")
    monkeypatch.setattr(
        type(find_language("c")), "compile_command",
        lambda self, chain, source: ("/usr/bin/gcc", "-std=" + CHOSEN[0], "-o", "main", source),
    )  # fmt: skip
    CHOSEN[:] = ["c17"]
    code = '#include <stdio.h>\nint main(void) { printf("%ld", __STDC_VERSION__); }'
    assert printed(code) == b"201710"
    monkeypatch.setattr(module, "dump_json", lambda value, name: '"the same key"')
    assert printed(code) == b"201710"
    CHOSEN[:] = ["c11"]
    with pytest.raises(AssertionError):
        assert printed(code) == b"201112"


CHOSEN = ["c17"]


def test_many_may_compile_the_same(compiled):
    code = CODE.replace("NUMBER", "5")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: printed(code), range(4))) == [b"5"] * 4


def test_failures_are_not_kept(compiled, tmp_path):
    found = prepare("int main(void) { return }", find_language("c"))
    assert isinstance(found, Outcome)
    assert b"error" in found.stderr
    assert list((tmp_path / "sandbox" / "programs").iterdir()) == []


def test_an_endless_compiler_is_ended(compiled, monkeypatch):
    cls = type(find_language("cpp"))
    monkeypatch.setattr(cls, "compile_limits", Limits(cpu_s=0.5, wall_s=5))
    code = "template <int N> struct A { static const int v = A<N + 1>::v + A<N - 1>::v; };\n"
    found = prepare(f"{code}int main() {{ return A<0>::v; }}", find_language("cpp"))
    assert isinstance(found, Outcome)
    assert not found.ok


def test_old_programs_make_room(compiled, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_PROGRAMS", 3)
    monkeypatch.setattr(module, "UNUSED_S", -1.0)
    for i in range(6):
        printed(CODE.replace("NUMBER", str(i)))
    assert 0 < len(list((tmp_path / "sandbox" / "programs").iterdir())) <= 4


def test_limits_are_raised_to_what_a_runtime_needs():
    java = find_language("java")
    found = raised(Limits(memory_bytes=1, num_processes=1), java)
    assert found.memory_bytes == java.floor.memory_bytes
    assert found.num_processes == java.floor.num_processes
    assert raised(Limits(), find_language("c")) == Limits()
