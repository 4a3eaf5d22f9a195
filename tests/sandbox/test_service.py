"""The HTTP service against its published schema, and under pressure."""

import base64
import http.client
import json
import threading
import time

import pytest

from burnish.base.errors import SettingError
from burnish.sandbox.service import Gate, Refused, Service, ServiceSettings

KEYS = {"status", "message", "compile_result", "run_result", "executor_pod_name", "files"}
RUN_KEYS = {"status", "execution_time", "return_code", "stdout", "stderr"}


@pytest.fixture(scope="module")
def service(sandbox_cache):
    one = Service(ServiceSettings(port=0, num_workers=2, max_waiting=4, deadline_s=30))
    one.start()
    yield one
    one.stop()


def post(service, path, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    text = body if isinstance(body, str) else json.dumps(body)
    connection.request("POST", path, text.encode(), headers)
    answer = connection.getresponse()
    found = json.loads(answer.read() or b"null")
    connection.close()
    return answer.status, found


def get(service, path):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_run_code_has_the_published_schema(service):
    status, answer = post(
        service, "/run_code", {"code": "print(input())", "language": "python", "stdin": "hi"}
    )
    assert status == 200
    assert set(answer) == KEYS and set(answer["run_result"]) == RUN_KEYS
    assert answer["status"] == "Success" and answer["compile_result"] is None
    assert answer["run_result"]["stdout"] == "hi\n" and answer["run_result"]["return_code"] == 0


def test_what_verl_sends_is_answered(service):
    body = {
        "compile_timeout": 10, "run_timeout": 10, "code": "int main() { return 3; }", "stdin": None,
        "memory_limit_MB": 1024, "language": "cpp", "files": {}, "fetch_files": [],
    }  # fmt: skip
    _, answer = post(service, "/run_code", body)
    assert answer["status"] == "Failed"
    assert (
        set(answer["compile_result"]) == RUN_KEYS and answer["compile_result"]["return_code"] == 0
    )
    assert answer["run_result"]["status"] == "Finished" and answer["run_result"]["return_code"] == 3


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


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/run_code", "{", 400),
        ("/run_code", "[]", 400),
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
    assert get(service, "/health")[0] == 200
    assert get(service, "/v1/ping")[1] == '"pong"'
    post(service, "/detect", {"code": "x"})
    status, text = get(service, "/metrics")
    assert status == 200 and 'requests_total{path="/detect",status="200"}' in text
    assert get(service, "/nothing")[0] == 404


def test_more_than_may_wait_gets_429(sandbox_cache):
    one = Service(ServiceSettings(port=0, num_workers=1, max_waiting=0, deadline_s=20))
    one.start()
    body = {"code": "print(1)", "language": "python"}
    with one.gate.slot(time.monotonic() + 5):
        status, answer = post(one, "/run_code", body)
        assert status == 429 and "waiting already" in answer["detail"]
    assert post(one, "/run_code", body)[0] == 200
    one.stop()


def test_who_waits_gets_the_slot_that_becomes_free():
    gate = Gate(settings=ServiceSettings(num_workers=1, max_waiting=1))
    order = []

    def work(name):
        with gate.slot(time.monotonic() + 30):
            order.append(name)

    with gate.slot(time.monotonic() + 5):
        thread = threading.Thread(target=work, args=("second",))
        thread.start()
        while not gate.waiting:
            time.sleep(0.001)
        with pytest.raises(Refused) as refused:
            work("third")
        order.append("first")
    thread.join()
    assert refused.value.status == 429
    assert order == ["first", "second"]


def test_who_waits_past_the_deadline_gets_503():
    gate = Gate(settings=ServiceSettings(num_workers=1, max_waiting=3))
    with gate.slot(time.monotonic() + 5):
        late = gate.slot(time.monotonic() + 0.05)
        with pytest.raises(Refused) as refused, late:
            pass
    assert refused.value.status == 503
    assert (gate.running, gate.waiting) == (0, 0)


def test_stopping_finishes_what_was_taken_in(sandbox_cache):
    one = Service(ServiceSettings(port=0, num_workers=1))
    one.start()
    answers = []
    body = {"code": "import time; time.sleep(0.5); print(7)", "language": "python"}
    thread = threading.Thread(target=lambda: answers.append(post(one, "/run_code", body)))
    thread.start()
    while not one.gate.running:
        time.sleep(0.01)
    one.stop()
    thread.join()
    assert answers[0][1]["run_result"]["stdout"] == "7\n"
    with pytest.raises(Refused) as refused:
        one.answer("/run_code", body)
    assert refused.value.status == 503


def test_a_token_is_asked_for(tmp_path, sandbox_cache):
    (tmp_path / "token").write_text("secret\n")
    one = Service(ServiceSettings(port=0, token_file=str(tmp_path / "token")))
    one.start()
    body = {"code": "x = 1"}
    assert post(one, "/detect", body)[0] == 401
    assert post(one, "/detect", body, Authorization="Bearer wrong")[0] == 401
    assert post(one, "/detect", body, Authorization="Bearer secret")[0] == 200
    assert get(one, "/metrics")[0] == 401
    one.stop()


def test_it_does_not_listen_to_others_without_a_token(service, tmp_path):
    for host in ("0.0.0.0", "::", "example.org"):
        with pytest.raises(SettingError, match="needs a token"):
            ServiceSettings(host=host)
    with pytest.raises(SettingError, match="could not be opened"):
        Service(ServiceSettings(port=service.port))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingError, match="must not be empty"):
        Service(ServiceSettings(port=0, token_file=str(tmp_path / "empty")))
