"""The official client, unchanged; greedy text equals `generate`, alone and among others."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from fixtures.served import Asked, serving
from fixtures.tiny import texts

from burnish.contracts.generation import Completion, Request, Sampling
from burnish.engine.generate import generate
from burnish.engine.loop import Loop

NAME = "llama"
MESSAGES: Any = [{"role": "user", "content": "what is 12?"}]


def ask(asked: Asked, work: Callable[[openai.AsyncOpenAI], Awaitable[Any]]) -> Any:
    """What the official client gets."""
    return asked.with_openai(work)


def offline(asked: Asked, prompts: list[list[int]], **settings: Any) -> list[Completion]:
    requests = [
        Request(id=str(i), prompt=tuple(prompt), sampling=Sampling(**settings))
        for i, prompt in enumerate(prompts)
    ]
    return generate(asked.served.model, requests)


async def check_equal(client: openai.AsyncOpenAI, prompts: Any, wanted: Any) -> None:
    """Every text alone, then all together, half of them streamed."""
    given = {"model": NAME, "max_tokens": 8, "temperature": 0}

    async def one(index: int) -> str:
        return (await client.completions.create(prompt=prompts[index], **given)).choices[0].text

    async def streamed(index: int) -> str:
        parts = await client.completions.create(prompt=prompts[index], stream=True, **given)
        return "".join([part.choices[0].text async for part in parts])

    for index in (0, 1, 2):
        assert await one(index) == wanted[index]
    every = range(len(prompts))
    found = await asyncio.gather(*((one, streamed)[index % 2](index) for index in every))
    assert list(found) == wanted


def test_greedy_equals_generate_alone_and_among_31_others(asked: Asked) -> None:
    prompts = texts([1 + 7 * i % 40 for i in range(31)] + [600])
    wanted = [c.text for c in offline(asked, prompts, max_new_tokens=8)]
    ask(asked, lambda client: check_equal(client, prompts, wanted))


def test_planted_text_that_depends_on_the_others(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Loop.draw

    def shifted(self: Loop, rows: Any, logits: Any) -> Any:
        return draw(self, rows, logits + (logits.roll(1, 0) if len(rows) > 2 else 0))

    prompts = texts([5] * 12)
    wanted = [c.text for c in offline(asked, prompts, max_new_tokens=8)]
    monkeypatch.setattr(Loop, "draw", shifted)
    with pytest.raises(AssertionError):
        ask(asked, lambda client: check_equal(client, prompts, wanted))


def test_chat_is_the_template_continued(asked: Asked) -> None:
    given = {"model": NAME, "messages": MESSAGES, "max_tokens": 9, "temperature": 0}

    async def work(client: openai.AsyncOpenAI) -> Any:
        whole = await client.chat.completions.create(**given)
        usage = {"include_usage": True}
        parts = await client.chat.completions.create(stream=True, stream_options=usage, **given)
        return whole, [part async for part in parts]

    whole, parts = ask(asked, work)
    tokenizer = asked.served.model.tokenizer
    prompt = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True)["input_ids"]
    (wanted,) = offline(asked, [prompt], max_new_tokens=9)
    assert whole.choices[0].message.content == wanted.text
    assert whole.choices[0].finish_reason == {"eos": "stop"}.get(wanted.finish, wanted.finish)
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (
        len(prompt), len(wanted.tokens),
    )  # fmt: skip
    assert "".join(p.choices[0].delta.content or "" for p in parts[:-1]) == wanted.text
    assert parts[0].choices[0].delta.role == "assistant"
    assert parts[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert not parts[-1].choices and parts[-1].usage == whole.usage


def test_samples_seeds_and_choices(asked: Asked) -> None:
    (prompt,) = texts([9])
    given = {"model": NAME, "prompt": prompt, "max_tokens": 6, "temperature": 1.5}

    async def work(client: openai.AsyncOpenAI) -> list[list[str]]:
        made = [
            await client.completions.create(seed=5, n=3, **given),
            await client.completions.create(seed=5, n=3, **given),
            await client.completions.create(seed=6, **given),
            await client.completions.create(n=2, **given),
        ]
        return [[choice.text for choice in one.choices] for one in made]

    first, again, next_seed, free = ask(asked, work)
    assert first == again and len(set(first)) == 3
    assert next_seed == first[1:2]  # choice i draws with seed + i
    assert not set(free) & set(first)
    wanted = offline(asked, [prompt], max_new_tokens=6, temperature=1.5, seed=5)
    assert first[0] == wanted[0].text


def test_penalties_and_filters_are_those_of_generate(asked: Asked) -> None:
    (prompt,) = texts([9])
    settings = {"temperature": 1.0, "seed": 3, "top_p": 0.8, "frequency_penalty": 1.5}
    settings |= {"presence_penalty": 0.7}
    ours = {"top_k": 20, "min_p": 0.01, "repetition_penalty": 1.2}

    async def work(client: openai.AsyncOpenAI) -> Any:
        given = {"model": NAME, "prompt": prompt, "max_tokens": 30, **settings}
        return await client.completions.create(extra_body=ours, **given)

    (wanted,) = offline(asked, [prompt], max_new_tokens=30, **settings, **ours)
    assert ask(asked, work).choices[0].text == wanted.text


def test_stop_strings_are_cut_also_in_a_stream(asked: Asked) -> None:
    (prompt,) = texts([9])
    (wanted,) = offline(asked, [prompt], max_new_tokens=30)
    stop = next(t for t in (wanted.text[i : i + 3] for i in range(5, 20)) if "\ufffd" not in t)
    given = {"model": NAME, "prompt": prompt, "max_tokens": 30, "temperature": 0, "stop": stop}

    async def work(client: openai.AsyncOpenAI) -> Any:
        whole = await client.completions.create(logprobs=1, **given)
        parts = await client.completions.create(stream=True, logprobs=1, **given)
        return whole, [part async for part in parts]

    whole, parts = ask(asked, work)
    assert whole.choices[0].text == wanted.text[: wanted.text.index(stop)]
    assert whole.choices[0].finish_reason == parts[-1].choices[0].finish_reason == "stop"
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text
    told = [t for part in parts for t in part.choices[0].logprobs.token_logprobs]
    assert told == whole.choices[0].logprobs.token_logprobs


def test_logprobs_of_answers_and_prompts(asked: Asked, tiny_reference: Any) -> None:
    """Against transformers' logits."""
    from fixtures.tiny import reference_logits

    (prompt,) = texts([9])

    async def work(client: openai.AsyncOpenAI) -> Any:
        given = {"model": NAME, "max_tokens": 4, "temperature": 0, "logprobs": 3}
        echoed = await client.completions.create(prompt=prompt, echo=True, **given)
        chat = await client.chat.completions.create(
            model=NAME, messages=MESSAGES, max_tokens=4, temperature=0, logprobs=True,
            top_logprobs=2,
        )  # fmt: skip
        return echoed.choices[0], chat.choices[0]

    echoed, chat = ask(asked, work)
    (done,) = offline(asked, [prompt], max_new_tokens=4)
    whole = [*prompt, *done.tokens]
    exact = reference_logits(tiny_reference("llama"), whole).log_softmax(-1)
    wanted = [float(exact[i, token]) for i, token in enumerate(whole[1:])]
    assert echoed.logprobs.token_logprobs[0] is None
    assert echoed.logprobs.token_logprobs[1:] == pytest.approx(wanted, abs=1e-4)
    for row, top in zip(exact, echoed.logprobs.top_logprobs[1:], strict=False):
        assert max(top.values()) == pytest.approx(float(row.max()), abs=1e-4)
    decode = asked.served.model.tokenizer.decode
    assert echoed.text == decode(prompt) + done.text
    content = chat.logprobs.content
    assert len(content) == 4 and all(len(row.top_logprobs) == 2 for row in content)
    assert all(row.logprob == row.top_logprobs[0].logprob for row in content)  # greedy
    assert bytes(b for row in content for b in row.bytes).decode(errors="replace") == (
        chat.message.content
    )


def test_lm_eval_asks_for_no_more_than_the_prompt(asked: Asked) -> None:
    """`local-completions` scores with echo, one new token and token ids."""
    body = {"model": NAME, "prompt": texts([5, 9]), "max_tokens": 0, "echo": True, "logprobs": 1}
    reply = asked.post("/v1/completions", body).json()
    assert [len(c["logprobs"]["tokens"]) for c in reply["choices"]] == [5, 9]
    assert reply["usage"]["completion_tokens"] == 0
    whole = asked.post("/v1/completions", {**body, "max_tokens": 1}).json()
    for choice, other in zip(whole["choices"], reply["choices"], strict=True):
        given = choice["logprobs"]["token_logprobs"]  # it leaves the last one out
        assert given[:-1] == other["logprobs"]["token_logprobs"]


def test_logprobs_have_the_end_token(asked: Asked) -> None:
    """What lm-eval leaves out at the end must be there, also where the model ends at once."""
    end = {"logit_bias": {"2": 100}}
    body = {"model": NAME, "prompt": texts([5])[0], "max_tokens": 1, "logprobs": 1, **end}
    echoed = asked.post("/v1/completions", {**body, "echo": True}).json()["choices"][0]
    assert len(echoed["logprobs"]["tokens"]) == 6 and echoed["finish_reason"] == "stop"
    assert echoed["logprobs"]["tokens"][-1] == "<|im_end|>" not in echoed["text"]
    streamed = asked.post("/v1/completions", {**body, "stream": True}).text.split("\n\n")
    last = json.loads(streamed[-3][6:])["choices"][0]
    assert last["logprobs"]["token_logprobs"] == echoed["logprobs"]["token_logprobs"][-1:]


def test_embeddings_are_those_of_embed(asked: Asked) -> None:
    from burnish.engine.embed import embed

    inputs = ["abc the", "12 = 12"]
    wanted = embed(asked.served.model, inputs)

    async def work(client: openai.AsyncOpenAI) -> Any:
        return await client.embeddings.create(model=NAME, input=inputs)  # the client asks base64

    found = ask(asked, work)
    assert [row.embedding for row in found.data] == wanted.tolist()
    body = {"model": NAME, "input": inputs[1]}
    assert asked.post("/v1/embeddings", body).json()["data"][0]["embedding"] == wanted[1].tolist()


FIELDS: dict[str, Any] = {
    "max_completion_tokens": 12, "stop": ["\u1234", "zzzz", "END"], "n": 3, "seed": 2,
    "temperature": 1.2, "top_p": 0.9, "logprobs": True, "top_logprobs": 4, "user": "me",
    "stream_options": {"include_usage": True}, "store": False, "metadata": {"a": "b"},
    "service_tier": "auto", "modalities": ["text"], "safety_identifier": "x",
    "prompt_cache_key": "y", "presence_penalty": 0.1, "parallel_tool_calls": False,
    "tool_choice": "none", "logit_bias": {"5": -1}, "response_format": {"type": "text"},
}  # fmt: skip


def test_all_that_the_client_sends(asked: Asked) -> None:
    """Several choices of one stream are those of one answer, with their log-probabilities."""
    roles = [{"role": "developer", "content": [{"type": "text", "text": "Be "},
                                               {"type": "text", "text": "brief."}]}]  # fmt: skip

    async def work(client: openai.AsyncOpenAI) -> Any:
        given: Any = {"model": NAME, "messages": [*roles, *MESSAGES], **FIELDS}
        parts = await client.chat.completions.create(stream=True, **given)
        got = [part async for part in parts]
        del given["stream_options"]
        return await client.chat.completions.create(**given), got

    whole, parts = ask(asked, work)
    assert len({choice.message.content for choice in whole.choices}) == 3
    *pieces, counted = parts
    assert counted.choices == [] and counted.usage == whole.usage
    for choice in whole.choices:
        own = [p.choices[0] for p in pieces if p.choices[0].index == choice.index]
        assert "".join(one.delta.content or "" for one in own) == choice.message.content
        told = [row for one in own if one.logprobs for row in one.logprobs.content]
        assert told == choice.logprobs.content and len(told[0].top_logprobs) == 4
        assert own[-1].finish_reason == choice.finish_reason


def test_models(asked: Asked) -> None:
    async def work(client: openai.AsyncOpenAI) -> Any:
        listed = [model.id async for model in client.models.list()]
        return listed, (await client.models.retrieve(NAME)).id

    assert ask(asked, work) == ([NAME], NAME)


HELLO = {"model": NAME, "messages": MESSAGES}
WRONG = [
    ("chat/completions", {**HELLO, "model": "gpt"}, 404, "model_not_found"),
    ("chat/completions", {**HELLO, "max_tokens": 5000}, 400, "context_length_exceeded"),
    ("completions", {"model": NAME, "prompt": "a" * 5000}, 400, "context_length_exceeded"),
    ("completions", {"model": NAME, "prompt": ""}, 400, None),
    ("completions", {"model": NAME, "prompt": []}, 400, None),
    ("completions", {"model": NAME, "prompt": [270]}, 400, None),
    ("chat/completions", {"model": NAME, "messages": []}, 400, None),
    ("chat/completions", {**HELLO, "temperature": -1}, 400, None),
    ("chat/completions", {**HELLO, "temprature": 1}, 400, None),
    ("chat/completions", {**HELLO, "stop": [""]}, 400, None),
    ("chat/completions", {**HELLO, "n": 0}, 400, None),
    ("chat/completions", {**HELLO, "top_logprobs": 2}, 400, None),
    ("chat/completions", {**HELLO, "messages": [{"role": "user", "content": "\ud800"}]}, 400, None),
    ("embeddings", {"model": NAME, "input": ""}, 400, None),
    ("embeddings", {"model": NAME, "input": ["x"] * 2049}, 400, None),
    ("embeddings", {"model": NAME, "input": "a" * 9000}, 400, "context_length_exceeded"),
    ("completions", {"model": NAME, "prompt": ["x"] * 20, "n": 128}, 400, None),
    ("completions", {"model": NAME, "prompt": "a" * 1_000_000}, 400, "context_length_exceeded"),
    ("completions", {"model": NAME, "prompt": [[5], "x"]}, 400, None),
    ("completions", {"model": NAME, "prompt": [[]]}, 400, None),
    ("completions", {"model": NAME, "prompt": [-1]}, 400, None),
    ("completions", {"model": NAME, "prompt": [True]}, 400, None),
    ("completions", {"model": NAME, "prompt": {"a": 1}}, 400, None),
    ("completions", {"model": NAME, "prompt": "x", "logprobs": True, "echo": 3}, 400, None),
    ("completions", {"model": NAME, "prompt": "x", "best_of": 2}, 400, "unsupported_parameter"),
    (
        "completions",
        {"model": NAME, "prompt": "x", "echo": True, "stream": True},
        400,
        "unsupported_parameter",
    ),
    ("completions", {"model": NAME, "prompt": "x", "suffix": "y"}, 400, None),
    ("completions", [], 400, None),
    ("completions", "x", 400, None),
    ("nothing", {}, 404, None),
    ("chat/completions", {"model": NAME}, 400, None),
    ("chat/completions", {"model": 7, "messages": MESSAGES}, 400, None),
    ("chat/completions", {**HELLO, "messages": "hello"}, 400, None),
    ("chat/completions", {**HELLO, "messages": [{"role": "king", "content": "x"}]}, 400, None),
    ("chat/completions", {**HELLO, "messages": [{"role": "user", "content": 7}]}, 400, None),
    (
        "chat/completions",
        {
            **HELLO,
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
            ],
        },
        400,
        None,
    ),
    (
        "chat/completions",
        {**HELLO, "messages": [{"role": "user", "content": "a" * 9000}]},
        400,
        "context_length_exceeded",
    ),
    ("chat/completions", {**HELLO, "stop": ["x"] * 17}, 400, None),
    ("chat/completions", {**HELLO, "stop": "x" * 5000}, 400, None),
    ("chat/completions", {**HELLO, "stop": [["x"]]}, 400, None),
    ("chat/completions", {**HELLO, "temperature": float("nan")}, 400, None),
    ("chat/completions", {**HELLO, "temperature": float("inf")}, 400, None),
    ("chat/completions", {**HELLO, "temperature": "warm"}, 400, None),
    ("chat/completions", {**HELLO, "top_p": float("nan")}, 400, None),
    ("chat/completions", {**HELLO, "presence_penalty": float("nan")}, 400, None),
    ("chat/completions", {**HELLO, "min_p": float("nan")}, 400, None),
    ("chat/completions", {**HELLO, "seed": 1.5}, 400, None),
    ("chat/completions", {**HELLO, "max_tokens": 10**30}, 400, "context_length_exceeded"),
    ("chat/completions", {**HELLO, "max_completion_tokens": 0}, 400, None),
    ("chat/completions", {**HELLO, "n": 129}, 400, None),
    ("chat/completions", {**HELLO, "stream_options": 5}, 400, None),
    ("chat/completions", {**HELLO, "tools": [{"type": "function"}]}, 400, None),
    ("chat/completions", {**HELLO, "tool_choice": "required"}, 400, None),
    ("chat/completions", {**HELLO, "modalities": ["audio"]}, 400, None),
]


@pytest.mark.parametrize(("path", "body", "status", "code"), WRONG)
def test_errors_are_openai_errors(asked: Asked, path: str, body: Any, status: int, code: Any):
    found = asked.send("POST", f"/v1/{path}", content=json.dumps(body).encode())
    assert found.status_code == status, found.text
    error = found.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] and error["code"] == code


def test_the_client_raises_its_own_errors(asked: Asked) -> None:
    async def work(client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            await client.completions.create(model="gpt", prompt="x")
        with pytest.raises(openai.BadRequestError, match="at most 1024 tokens"):
            await client.completions.create(model=NAME, prompt=[5] * 1020)

    ask(asked, work)


def test_a_policy_reads_beyond_the_window(tiny_folder: Any) -> None:
    kv = "window:budget_tokens=64"
    (prompt,) = texts([700])
    with serving(tiny_folder("llama"), kv=kv, context_tokens=300, num_workers=2) as bounded:
        body = {"model": NAME, "prompt": prompt, "max_tokens": 5, "temperature": 0}
        text = bounded.post("/v1/completions", body).json()["choices"][0]["text"]
        request = Request(id="0", prompt=tuple(prompt), sampling=Sampling(max_new_tokens=5))
        assert text == generate(bounded.served.model, [request], kv=kv)[0].text
