"""`burnish sandbox run|judge|doctor` as a user meets them."""

import json
import subprocess
import sys

import pytest

RUN_KEYS = {"language", "status", "exit_code", "stdout", "stderr", "cpu_s", "wall_s",
            "memory_bytes", "attestation"}  # fmt: skip


def burnish(*words):
    code = "import sys; sys.argv[0] = 'burnish'; from burnish.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "sandbox", *map(str, words)], capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def program(tmp_path, namespaces):
    path = tmp_path / "add.py"
    path.write_text("print(sum(map(int, input().split())))\n")
    (tmp_path / "in.txt").write_text("1 2\n")
    return path


def test_run_prints_one_object(program):
    done = burnish("run", program, "--stdin", program.parent / "in.txt", "--json")
    found = json.loads(done.stdout)
    assert found.keys() >= RUN_KEYS
    assert (found["status"], found["stdout"], found["language"]) == ("accepted", "3\n", "python")
    assert found["attestation"]["network"] != "not enforced"
    assert done.returncode == 0


def test_run_for_people(program):
    program.write_text("import sys\nsys.exit(3)\n")
    done = burnish("run", program)
    assert done.returncode == 1
    assert "status runtime_error" in done.stderr
    assert "next: burnish" in done.stderr


def test_judge_prints_one_object(program):
    problem = program.with_suffix(".json")
    rows = [{"stdin": "1 2", "stdout": "3"}, {"stdin": "1 2", "stdout": "4"}]
    given = {"code": program.read_text(), "language": "python", "tests": rows}
    problem.write_text(json.dumps(given))
    done = burnish("judge", problem, "--json")
    found = json.loads(done.stdout)
    assert (found["verdict"], found["passed"], found["total"]) == ("wrong_answer", 1, 2)
    assert (found["reward"], len(found["tests"]), done.returncode) == (-0.3, 2, 1)
    assert found["attestation"]["backend"] == "namespaces"
    problem.write_text(json.dumps({**given, "tests": rows[:1]}))
    done = burnish("judge", problem, "--workers", 2)
    assert "verdict accepted, 1 of 1 tests, reward 1.0" in done.stdout
    assert done.returncode == 0


def test_doctor_tells_what_is_enforced(namespaces):
    found = json.loads(burnish("doctor", "--json").stdout)
    assert found["attestation"]["backend"] == "namespaces"
    assert set(found["backends"]) == {"namespaces", "bubblewrap", "landlock", "none"}
    assert "Python" in found["languages"]["python"]


MISTAKES = [
    (("run", "no.py"), "does not exist"),
    (("run", "{file}", "--lang", "pyhton"), "python"),
    (("run", "{file}", "--limit", "cpu=1"), "cpu"),
    (("run", "{file}", "--limit", "cpu_s=-1"), "must be positive"),
    (("run", "{file}", "--isolation", "namespace"), "namespaces"),
    (("run", "{file}", "--stdin", "no.txt"), "no.txt"),
    (("judge", "{file}"), "must be JSON"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_mistakes_end_with_two_and_one_sentence(program, words, said):
    done = burnish(*(w.format(file=program) for w in words))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
