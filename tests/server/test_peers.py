"""Other projects' clients, unchanged, at a server behind a real socket.

They ask for other versions of shared packages than ours, so they are in no extra: install each in
a folder (`pip install --target FOLDER`, with `--no-deps` for verl) and name it in PYTHONPATH. A
client that is not installed is skipped by name.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.served import Listening, serving
from fixtures.tiny import reference_logits

from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("default")]
NAME = "llama"
QUESTION = "what is 12?"
MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def listening(tiny_folder: Any, document: Path, sandbox_cache: Any) -> Iterator[Listening]:
    """A model with a document, and the sandbox."""
    settings = {"num_workers": 8, "indexes": (str(document),)}
    with serving(tiny_folder("llama"), sandbox=2, **settings) as asked:
        one = Listening(asked)
        yield one
        one.stop()


@pytest.fixture
def url(listening: Listening) -> str:
    return f"http://127.0.0.1:{listening.server.port}"


@pytest.fixture
def greedy(listening: Listening) -> str:
    """The answer to the question, of `generate`."""
    model = listening.asked.served.model
    made = model.tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True)
    prompt = tuple(made["input_ids"])
    request = Request(id="0", prompt=prompt, sampling=Sampling(max_new_tokens=8))
    return generate(model, [request])[0].text


def test_litellm(url: str, greedy: str) -> None:
    litellm = pytest.importorskip("litellm")
    given = {"model": f"openai/{NAME}", "messages": MESSAGES, "api_base": f"{url}/v1"}
    given |= {"api_key": "none", "max_tokens": 8, "temperature": 0}
    assert litellm.completion(**given).choices[0].message.content == greedy
    parts = list(litellm.completion(stream=True, **given))
    assert "".join(part.choices[0].delta.content or "" for part in parts) == greedy
    about = litellm.completion(**{**given, "model": "openai/notes"})
    assert about.usage.prompt_tokens_details.cached_tokens > 250
    with pytest.raises(litellm.NotFoundError, match="does not exist"):
        litellm.completion(**{**given, "model": "openai/gpt"})


def test_langchain(url: str, greedy: str) -> None:
    chat = pytest.importorskip("langchain_openai")
    given = {"base_url": f"{url}/v1", "api_key": "none", "model": NAME}
    one = chat.ChatOpenAI(max_tokens=8, temperature=0, **given)
    assert one.invoke(QUESTION).content == greedy
    assert "".join(part.content for part in one.stream(QUESTION)) == greedy
    form = {"title": "answer", "type": "object", "properties": {"is_odd": {"type": "boolean"}},
            "required": ["is_odd"], "additionalProperties": False}  # fmt: skip
    free = chat.ChatOpenAI(temperature=1, **given)
    found = free.with_structured_output(form, method="json_schema").invoke(QUESTION)
    assert set(found) == {"is_odd"} and isinstance(found["is_odd"], bool)
    vectors = chat.OpenAIEmbeddings(check_embedding_ctx_length=False, **given)
    assert len(vectors.embed_query("abc")) == 28


def test_lm_eval(url: str, tiny_folder: Any, tiny_reference: Any) -> None:
    """Log-likelihoods and greedy flags, against transformers' logits."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    client = LocalCompletionsAPI(
        base_url=f"{url}/v1/completions", model=NAME, tokenizer=str(tiny_folder("llama")),
        tokenizer_backend="huggingface", batch_size=3, max_length=512, num_concurrent=1,
    )  # fmt: skip
    pairs = [("abc the", " = 12"), ("in on", " er"), ("12", " the abc"), ("", "abc")]
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=i)
        for i, pair in enumerate(pairs)
    ]
    tokenizer = client.tokenizer
    for (begin, end), (value, is_greedy) in zip(pairs, client.loglikelihood(requests), strict=True):
        head = tokenizer(begin)["input_ids"] or [client.prefix_token_id]
        whole = [*head, *tokenizer(end)["input_ids"]]
        exact = reference_logits(tiny_reference("llama"), whole).log_softmax(-1)
        rows = [(exact[i - 1], whole[i]) for i in range(len(head), len(whole))]
        assert value == pytest.approx(sum(float(row[t]) for row, t in rows), abs=1e-3)
        assert is_greedy == all(int(row.argmax()) == t for row, t in rows)
    asked = ("abc the", {"until": ["zzz"], "max_gen_toks": 5, "do_sample": False})
    request = Instance(request_type="generate_until", doc={}, arguments=asked, idx=0)
    (text,) = client.generate_until([request])
    body = {"model": NAME, "prompt": "abc the", "max_tokens": 5, "temperature": 0}
    assert text == httpx.post(f"{url}/v1/completions", json=body).json()["choices"][0]["text"]


def verl_client() -> Any:
    """verl's `sandbox_fusion`, loaded as it lies there; the rest of verl wants a cluster."""
    found = importlib.util.find_spec("verl")
    if found is None or not found.submodule_search_locations:
        pytest.skip("verl is not installed")
    folder = Path(found.submodule_search_locations[0], "utils/reward_score/sandbox_fusion")
    places = {"submodule_search_locations": [str(folder)]}
    spec = importlib.util.spec_from_file_location("verl_fusion", folder / "__init__.py", **places)
    assert spec is not None and spec.loader is not None
    module = sys.modules["verl_fusion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_verl(url: str, listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("requests")
    verl = verl_client()
    cases = {"inputs": ["2", "3", "x"], "outputs": ["4", "7", ""]}
    text = "Here it is.\n```python\nprint(2 * int(input()))\n```"
    score, told = verl.compute_score(f"{url}/run_code", None, 1024, text, cases)
    assert score == pytest.approx(1 / 3)
    states = [one["status"] for one in told]
    assert states == ["success", "wrong_answer", "runtime_error"]
    calls = {"fn_name": "twice", "inputs": ["2", '"a"'], "outputs": ["4", "aa"]}
    text = "```python\nclass Solution:\n    def twice(self, x):\n        return x * 2\n```"
    assert verl.compute_score(f"{url}/run_code", None, 1024, text, calls)[0] == 1
    gate, waits = listening.asked.parts.gates["sandbox"], list[float]()
    monkeypatch.setattr(gate, "_max_waiting", -1)
    monkeypatch.setattr(gate, "_num_workers", 0)

    def free(seconds: float) -> None:  # what it does between its tries
        waits.append(seconds)
        monkeypatch.setattr(gate, "_num_workers", 2)

    monkeypatch.setattr(sys.modules["verl_fusion.utils"].time, "sleep", free)
    asked = (f"{url}/run_code", "print(1)", None, 10, 10, 1024)
    answer, problem = sys.modules["verl_fusion.utils"].call_sandbox_api(*asked)
    assert problem is None and answer["run_result"]["stdout"] == "1\n" and waits == [1]


def test_sandbox_fusion(url: str) -> None:
    fusion = pytest.importorskip("sandbox_fusion")
    asked = fusion.RunCodeRequest(code="print(input())", language="python", stdin="a")
    found = fusion.run_code(asked, endpoint=url, max_attempts=1, client_timeout=30)
    assert found.status == "Success" and found.run_result.stdout == "a\n"
    broken = fusion.RunCodeRequest(code="int main( {", language="cpp")
    found = fusion.run_code(broken, endpoint=url, max_attempts=1, client_timeout=30)
    assert found.status == "Failed" and found.compile_result.return_code
