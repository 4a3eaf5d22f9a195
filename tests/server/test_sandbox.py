"""The sandbox's endpoints against their published schema, and under pressure."""

import asyncio
import base64

import httpx
import pytest
from fixtures.served import Asked

from burnish.sandbox.judging import judge
from burnish.sandbox.problem import read_problem
from burnish.server.app import Parts
from burnish.server.settings import ServeSettings
from burnish.server.start import open_gate

KEYS = {"status", "message", "compile_result", "run_result", "executor_pod_name", "files"}
RUN_KEYS = {"status", "execution_time", "return_code", "stdout", "stderr"}


def open_service(*, num_workers=2, token="", **bounds):
    gates = {"sandbox": open_gate(ServeSettings(**bounds), num_workers)}
    return Asked(Parts(gates=gates, num_sandbox_workers=num_workers, token=token))


@pytest.fixture(scope="module")
def service(sandbox_cache):
    return open_service(max_waiting=4, deadline_s=30)


def post(service, path, body, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"content": body.encode()} if isinstance(body, str) else {"json": body}
    answer = service.send("POST", path, headers=headers, **given)
    return answer.status_code, answer.json()


def test_run_code_has_the_published_schema(service):
    status, answer = post(
        service, "/run_code", {"code": "print(input())", "language": "python", "stdin": "hi"}
    )
    assert status == 200
    assert set(answer) == KEYS and set(answer["run_result"]) == RUN_KEYS
    assert answer["status"] == "Success" and answer["compile_result"] is None
    assert answer["run_result"]["stdout"] == "hi\n" and answer["run_result"]["return_code"] == 0


def verl_request(service, language, code, stdin=None):
    """The request of verl's `sandbox_fusion` utility: its headers, its eight fields, its values."""
    body = {
        "compile_timeout": 10, "run_timeout": 1, "code": code, "stdin": stdin,
        "memory_limit_MB": 1024, "language": language, "files": {}, "fetch_files": [],
    }  # fmt: skip
    kind = "application/json"
    status, answer = post(service, "/run_code", body, **{"Content-Type": kind, "Accept": kind})
    assert status == 200
    return answer


def verl_reads(answer, expected):
    """What verl makes of an answer, in the codes of its own documentation.

    True and False for right and wrong, -1 sandbox, -2 run time, -3 time, -4 compiler. It reads
    `status`, and `status`, `return_code`, `stdout` of the two results.
    """
    compiled, run = answer.get("compile_result"), answer.get("run_result")
    if answer["status"] == "Success":
        if not run or run["status"] != "Finished":
            return -1
        return (run["stdout"] or "").rstrip("\n") == expected.rstrip("\n")
    if answer["status"] != "Failed":
        return -1
    if compiled and (compiled["status"] != "Finished" or compiled["return_code"] != 0):
        return -4
    if not run:
        return -1
    late = run["status"] == "TimeLimitExceeded"
    return -3 if late else -2 if run["status"] == "Error" or run["return_code"] != 0 else -1


VERL = [
    ("python", "print(int(input()) * 2)", "21", "42\n", True),
    ("python", "print(int(input()) * 2)", "21", "43", False),
    ("python", "raise SystemExit(3)", None, "", -2),
    ("python", "import os\nos.kill(os.getpid(), 9)", None, "", -2),
    ("python", "while True: pass", None, "", -3),
    ("python", "x = bytearray(3 << 30)", None, "", -2),
    ("nodejs", "console.log(require('fs').readFileSync(0, 'utf8').trim())", "a", "a", True),
    ("bash", "read x; echo $x", "b c", "b c", True),
    ("cpp", "int main() { return 3; }", None, "", -2),
    ("cpp", "int main( {", None, "", -4),
]


@pytest.mark.parametrize(("language", "code", "stdin", "expected", "read"), VERL)
def test_verl_reads_what_happened(service, language, code, stdin, expected, read):
    answer = verl_request(service, language, code, stdin)
    if answer["status"] == "SandboxError" and "needs" in answer["message"]:
        pytest.skip(answer["message"])
    assert set(answer) == KEYS
    for result in (answer["compile_result"], answer["run_result"]):
        assert result is None or set(result) == RUN_KEYS
    assert verl_reads(answer, expected) is read


async def verl_tries(client, body, *, between, num_tries=3):
    """verl's `call_sandbox_api`: a 504 is tried again, any other error is final."""
    for number in range(num_tries):
        answer = await client.post("/run_code", json=body)
        if answer.status_code != 504:
            answer.raise_for_status()
            return answer.json()
        if number < num_tries - 1:
            between(number)
    return None


def check_retries(one):
    """All places taken twice, and free at the third try; and taken for longer than it tries."""
    body = {
        "compile_timeout": 10, "run_timeout": 10, "code": "print(1)", "stdin": None,
        "memory_limit_MB": 1024, "language": "python", "files": {}, "fetch_files": [],
    }  # fmt: skip

    async def ask():
        async with one.client() as client:
            slot = await one.parts.gates["sandbox"].enter()
            found = await verl_tries(client, body, between=lambda n: n and slot.leave())
            slot = await one.parts.gates["sandbox"].enter()
            lost = await verl_tries(client, body, between=lambda n: None)
            slot.leave()
            return found, lost

    found, lost = asyncio.run(ask())
    assert found["run_result"]["stdout"] == "1\n" and lost is None


def test_verl_tries_again_while_all_places_are_taken(sandbox_cache):
    check_retries(open_service(num_workers=1, max_waiting=0, deadline_s=20))


def test_planted_status_that_verl_does_not_try_again(sandbox_cache, monkeypatch):
    monkeypatch.setattr("burnish.server.errors.RETRIED", {})
    with pytest.raises(httpx.HTTPStatusError, match="429"):
        check_retries(open_service(num_workers=1, max_waiting=0, deadline_s=20))


def test_planted_answer_that_verl_would_take_for_a_pass(service):
    answer = verl_request(service, "python", "raise SystemExit(3)")
    worse = answer | {"status": "Success"}
    assert verl_reads(answer, "") == -2
    assert verl_reads(worse, "") is True


def test_what_verl_names_and_we_do_not_run_is_no_verdict(service):
    for language in ("sql", "lean", "D_ut"):
        status, answer = post(service, "/run_code", {"code": "x", "language": language})
        assert status == 422 and "language" in answer["detail"]


def test_a_file_without_content_is_left_out(service):
    body = {"code": "import os; print(os.path.exists('a'))", "language": "python"}
    _, answer = post(service, "/run_code", body | {"files": {"a": None}})
    assert answer["run_result"]["stdout"] == "False\n"
    assert post(service, "/run_code", body | {"files": ["a"]})[0] == 422


def test_compile_errors_and_time_limits_are_told_apart(service):
    _, broken = post(service, "/run_code", {"code": "int main( {", "language": "cpp"})
    assert broken["status"] == "Failed" and broken["run_result"] is None
    assert (
        broken["compile_result"]["status"] == "Finished"
        and broken["compile_result"]["return_code"] != 0
    )
    body = {"code": "while True: pass", "language": "python", "run_timeout": 0.3}
    _, late = post(service, "/run_code", body)
    assert late["status"] == "Failed" and late["run_result"]["status"] == "TimeLimitExceeded"
    assert late["run_result"]["return_code"] is None


def test_long_output_is_neither_cut_nor_late(service):
    _, answer = post(service, "/run_code", {"code": "print('x' * 300000)", "language": "python"})
    assert answer["status"] == "Success" and len(answer["run_result"]["stdout"]) == 300001


def test_files_go_in_and_come_back(service):
    body = {
        "code": "text = open('in.txt').read()\nopen('out.txt', 'w').write(text.upper())\n",
        "language": "python",
        "files": {"in.txt": base64.b64encode(b"abc").decode()},
        "fetch_files": ["out.txt", "absent.txt"],
    }
    _, answer = post(service, "/run_code", body)
    assert {k: base64.b64decode(v) for k, v in answer["files"].items()} == {"out.txt": b"ABC"}
    status, _ = post(service, "/run_code", body | {"fetch_files": ["../../etc/passwd"]})
    assert status == 422


def test_judge_analyze_and_detect(service):
    body = {"code": "print(1)", "language": "python", "tests": [{"stdin": "", "stdout": "1\n"}]}
    assert post(service, "/judge", body)[1]["verdict"] == "accepted"
    _, analysis = post(
        service, "/analyze", {"code": "import os\nprint(1)\n", "language": "python", "sarif": True}
    )
    assert {"basic", "smells", "bugs", "coverage", "efficiency", "sarif"} <= set(analysis)
    _, found = post(
        service, "/detect", {"code": "#include <stdio.h>\nint main(void) { return 0; }\n"}
    )
    assert found["language"] in {"c", "cpp"}


def test_the_deadline_bounds_an_analysis(sandbox_cache):
    one = open_service(num_workers=1, deadline_s=1.5)
    body = {
        "code": "import time\ntime.sleep(30)\n", "language": "python",
        "stdins": ["1", "2", "3"], "limits": {"wall_s": 60, "cpu_s": 60},
    }  # fmt: skip
    status, answer = post(one, "/analyze", body)
    assert status == 200
    said = [test["status"] for test in answer["coverage"]["tests"]]
    assert all("wall_s" in s or "deadline has passed" in s for s in said)
    assert "deadline has passed" in said[-1]
    assert any("deadline has passed" in note for note in answer["notes"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/run_code", "{", 400),
        ("/run_code", "[]", 422),
        ("/run_code", {"code": "x"}, 422),
        ("/run_code", {"code": "x", "language": "klingon"}, 422),
        ("/run_code", {"code": "x", "language": "python", "run_timeout": "soon"}, 422),
        ("/run_code", {"code": "x", "language": "python", "files": {"a": "%%%"}}, 422),
        ("/judge", {"code": "x"}, 422),
        ("/nothing", {}, 404),
    ],
)
def test_wrong_requests_are_said_to_be_wrong(service, path, body, status):
    found, answer = post(service, path, body)
    assert found == status and "detail" in answer


def test_health_and_metrics(service):
    assert service.get("/health").json() == {"status": "ok"}
    assert service.get("/v1/ping").text == '"pong"'
    post(service, "/detect", {"code": "x"})
    text = service.get("/metrics").text
    assert 'burnish_requests_total{path="/detect",status="200"}' in text
    assert 'burnish_running{queue="sandbox"} 0.0' in text
    assert service.get("/nothing").status_code == 404
    assert set(service.get("/openapi.json").json()["paths"]) >= {"/run_code", "/judge"}


def test_more_than_may_wait_gets_429(sandbox_cache):
    one = open_service(num_workers=1, max_waiting=0, deadline_s=20)
    body = {"code": "print(1)", "language": "python"}

    async def ask():
        async with one.client() as client, one.parts.gates["sandbox"].slot():
            return [await client.post(path, json=body) for path in ("/detect", "/run_code")]

    refused, retried = asyncio.run(ask())
    assert refused.status_code == 429 and "waiting already" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "1"
    assert retried.status_code == 504  # all that its clients try again
    assert post(one, "/run_code", body)[0] == 200


@pytest.mark.parametrize(
    ("path", "more"),
    [("/run_code", {"run_timeout": 30}), ("/judge", {"tests": [{"stdin": "", "stdout": ""}] * 3})],
)
def test_the_deadline_gives_no_verdict(sandbox_cache, path, more):
    one = open_service(num_workers=1, deadline_s=1)
    body = {"code": "import time; time.sleep(0.8)", "language": "python"}
    status, answer = post(one, path, body | more)
    if path == "/run_code":
        assert status == 200 and answer["status"] == "Success"
        status, answer = post(one, path, {**body, **more, "code": "import time; time.sleep(9)"})
    assert status == (504 if path == "/run_code" else 503) and "deadline" in answer["detail"]


def test_judging_in_time_is_judging(service):
    body = {
        "code": "print(input())", "language": "python",
        "tests": [{"stdin": "1", "stdout": "1"}, {"stdin": "2", "stdout": "3"}],
    }  # fmt: skip
    found = post(service, "/judge", body)[1]
    own = judge(read_problem(body)).to_dict()
    for key in ("verdict", "passed", "total", "reward", "language", "reason"):
        assert found[key] == own[key]
    assert [t["status"] for t in found["tests"]] == [t["status"] for t in own["tests"]]
    broken = {"code": "int main( {", "language": "c", "tests": body["tests"]}
    found = post(service, "/judge", broken)[1]
    assert found["verdict"] in {"compile_error", "infrastructure_error"}
    assert len(found["tests"]) == 2


def test_a_stopping_server_finishes_what_was_taken_in(sandbox_cache):
    one = open_service(num_workers=1)
    body = {"code": "import time; time.sleep(0.3); print(7)", "language": "python"}

    async def ask():
        gate = one.parts.gates["sandbox"]
        async with one.client() as client:
            taken = asyncio.ensure_future(client.post("/run_code", json=body))
            while not gate.num_running:
                await asyncio.sleep(0.01)
            gate.drain()
            return await client.post("/judge", json=body), await client.get("/health"), await taken

    late, health, taken = asyncio.run(ask())
    assert late.status_code == health.status_code == 503
    assert taken.json()["run_result"]["stdout"] == "7\n"


def test_a_token_is_asked_for(sandbox_cache):
    one = open_service(token="secret")
    body = {"code": "x = 1"}
    assert post(one, "/detect", body)[0] == 401
    assert post(one, "/detect", body, Authorization="Bearer wrong")[0] == 401
    assert post(one, "/detect", body, Authorization="Bearer secret")[0] == 200
    assert one.get("/metrics").status_code == 401
    assert one.get("/health").status_code == 200


@pytest.mark.parametrize("header", ["text/plain", "application/x-www-form-urlencoded"])
def test_curl_needs_no_header(service, header):
    assert post(service, "/detect", '{"code": "x = 1"}', Content_Type=header)[0] == 200
