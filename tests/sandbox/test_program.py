"""The compile cache: compiled once, and never the wrong program."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from burnish.base.errors import InputError
from burnish.sandbox import program as module
from burnish.sandbox.job import Limits, Outcome
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.probe import probe
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import Program, job_of, prepare, raised
from burnish.sandbox.running import run_job

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


LIBRARIES = {  # where a library stands in its folder, its text, a program that uses it
    "python": ("planted.py", "VALUE = 7\n", "import planted, json\nprint(planted.VALUE)"),
    "javascript": (
        "planted/index.js", "module.exports = 7;", "console.log(require('planted'))"),
    "typescript": (
        "planted/index.js", "exports.value = 7;",
        "import { value } from 'planted';\nconsole.log(value);"),
    "perl": (
        "Planted.pm", "package Planted; our $value = 7; 1;",
        "use Planted; print $Planted::value"),
    "ruby": ("planted.rb", "VALUE = 7\n", "require 'planted'\nputs VALUE"),
}  # fmt: skip


@pytest.fixture(params=[n if n != "typescript" else pytest.param(n, marks=pytest.mark.scheduled)
                        for n in LIBRARIES])  # fmt: skip
def library(request, namespaces, tmp_path):
    """A folder of third-party packages, and a problem that needs it."""
    if isinstance(chain := module.find_chain(find_language(request.param)), MissingToolChain):
        pytest.skip(chain.reason)
    place, text, code = LIBRARIES[request.param]
    folder = tmp_path / "packages"
    (folder / place).parent.mkdir(parents=True)
    (folder / place).write_text(text)
    tests = [{"stdin": "", "stdout": "7"}]
    return folder, {"code": code, "language": request.param, "tests": tests}


def test_packages_that_a_problem_names_are_seen(library):
    folder, given = library
    assert judge(read_problem(given)).verdict != "accepted"
    found = judge(read_problem({**given, "packages": [str(folder)]}))
    assert found.verdict == "accepted", (found.reason, found.tests[0].stderr)


@pytest.mark.parametrize("isolation", ["landlock", "none"])
def test_packages_are_seen_without_namespaces(tmp_path, namespaces, isolation):
    if isolation == "landlock" and probe().landlock_trouble:
        pytest.skip(f"no Landlock: {probe().landlock_trouble}")
    place, text, code = LIBRARIES["python"]
    (tmp_path / place).write_text(text)
    given = {"code": code, "language": "python", "tests": [{"stdin": "", "stdout": "7"}]}
    found = judge(read_problem({**given, "packages": [str(tmp_path)]}), isolation=isolation)
    assert found.verdict == "accepted", (found.reason, found.tests[0].stderr)


def test_packages_can_only_be_read_and_asserts_see_them(namespaces, tmp_path):
    tmp_path.chmod(0o755)  # pytest closes its folders to others, and the job is another user
    (tmp_path / "planted.py").write_text("VALUE = 7\n")
    (tmp_path / "json.py").write_text("raise RuntimeError('shadows the standard library')\n")
    code = "import planted\ndef f():\n    try:\n        open(planted.__file__, 'a')\n"
    code += "    except OSError:\n        return planted.VALUE\n"
    given = {"code": code, "language": "python", "packages": [str(tmp_path)],
             "asserts": "import json, planted\nassert f() == planted.VALUE == 7"}  # fmt: skip
    found = judge(read_problem(given))
    assert found.verdict == "accepted", (found.reason, found.tests[0].stderr)


@pytest.mark.parametrize(
    ("language", "packages", "words"),
    [("python", ["/no/such"], "must be a folder"), ("python", "x", "must be a list"),
     ("lua", ["/usr"], "are not supported for"), ("python", [3], "must be a list")],
)  # fmt: skip
def test_packages_that_cannot_be_shown_are_named(namespaces, language, packages, words):
    if isinstance(chain := module.find_chain(find_language(language)), MissingToolChain):
        pytest.skip(chain.reason)
    given = {"code": "print(1)", "language": language, "tests": [{"stdout": "1"}]}
    with pytest.raises(InputError, match=words):
        judge(read_problem({**given, "packages": packages}))
