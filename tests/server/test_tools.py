"""Tool calls: what templates of several families write, and a template that offers tools."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.served import Asked, serving
from fixtures.tiny import make_folder

from burnish.server import chats, forms
from burnish.server.tools import parse_tool_calls

WEATHER = {"name": "weather", "arguments": {"city": "Köln", "days": 2}}
CALLS: list[tuple[str, str, list[Any]]] = [
    (f"<tool_call>\n{json.dumps(WEATHER)}\n</tool_call>", "", [WEATHER]),  # Hermes, Qwen
    (f"I look.\n<tool_call>{json.dumps(WEATHER)}</tool_call>", "I look.", [WEATHER]),
    (f"<tool_call>[{json.dumps(WEATHER)}, {json.dumps(WEATHER)}]</tool_call>", "", [WEATHER] * 2),
    (f"<tool_call>{json.dumps(WEATHER)}", "", [WEATHER]),  # the end is a special token
    (json.dumps({"name": "weather", "parameters": {"city": "Köln"}}), "",
     [{"name": "weather", "arguments": {"city": "Köln"}}]),  # Llama 3
    ("The weather is good.", "The weather is good.", []),
    ("<tool_call>{not JSON}</tool_call>", "<tool_call>{not JSON}</tool_call>", []),
    ('{"city": "Köln"}', '{"city": "Köln"}', []),
    ('[1, {"name": "x", "arguments": {}}]', '[1, {"name": "x", "arguments": {}}]', []),
    ("[]", "[]", []),
    ("[" * 100_000, "[" * 100_000, []),
]  # fmt: skip
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TEMPLATE = (
    "{% if tools %}{% for tool in tools %}{{ tool['function']['name'] }}{% endfor %}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + m['content'] }}"
    "{% for c in m['tool_calls'] or [] %}{{ c['function']['arguments'] | tojson }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}"
)


def check_calls(parse: Callable[[str], tuple[str, list[dict[str, Any]]]]) -> None:
    for text, rest, wanted in CALLS:
        left, calls = parse(text)
        assert left == rest
        found = [c["function"] for c in calls]
        assert [(c["name"], json.loads(c["arguments"])) for c in found] == [
            (w["name"], w["arguments"]) for w in wanted
        ]
        assert len({c["id"] for c in calls}) == len(calls)


def test_calls_as_families_write_them() -> None:
    check_calls(parse_tool_calls)


def test_planted_text_taken_for_a_call() -> None:
    with pytest.raises(AssertionError):
        check_calls(lambda text: ("", parse_tool_calls(text)[1]))


@pytest.fixture(scope="module")
def tooled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model whose template offers tools."""
    folder = make_folder("llama", tmp_path_factory.mktemp("tools") / "tooled")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    with serving(folder) as one:
        yield one


def body(**more: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": text} for text in ("hi ", "x")]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function",
             "function": {"name": "weather", "arguments": '{"city": "K"}'}}]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]  # fmt: skip
    given = {"model": "tooled", "messages": messages, "max_tokens": 3, "temperature": 0}
    return {**given, "tools": [TOOL], **more}


def test_tools_stand_in_the_prompt(tooled: Asked) -> None:
    from burnish.server.schema import ChatBody

    tokenizer = tooled.served.model.tokenizer
    prompt = tokenizer.decode(tooled.served.conversation(ChatBody(**body())))
    assert prompt.startswith("weather<|im_start|>userhi x")
    assert '{"city": "K"}' in prompt and "toolrain" in prompt
    without = tooled.served.conversation(ChatBody(**body(tool_choice="none")))
    assert tokenizer.decode(without).startswith("<|im_start|>user")


def test_a_call_is_a_call_whole_and_streamed(
    tooled: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = tooled.post("/v1/chat/completions", body()).json()["choices"][0]
    assert reply["finish_reason"] == "length" and "tool_calls" not in reply["message"]
    written = f"so <tool_call>{json.dumps(WEATHER)}</tool_call>"
    monkeypatch.setattr(chats, "parse_tool_calls", lambda text: parse_tool_calls(written))
    choice = tooled.post("/v1/chat/completions", body()).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] == "so"
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])["days"] == 2
    lines = tooled.post("/v1/chat/completions", body(stream=True)).text.split("\n\n")
    chunks = [json.loads(line[6:])["choices"][0] for line in lines if line.startswith("data: {")]
    (last,) = [chunk for chunk in chunks if chunk["finish_reason"]]
    assert last["finish_reason"] == "tool_calls"
    assert last["delta"]["tool_calls"][0]["function"]["name"] == "weather"


def test_a_template_without_a_place_for_tools_says_so(asked: Asked) -> None:
    found = asked.post("/v1/chat/completions", body(model="llama"))
    assert found.status_code == 400 and "no place for tools" in found.json()["error"]["message"]


CITY = {"type": "object", "$defs": {"City": {"enum": ["Bern", "Köln"]}},  # as pydantic writes it
        "properties": {"city": {"$ref": "#/$defs/City"}},
        "required": ["city"], "additionalProperties": False}  # fmt: skip
CHOICES = [
    {"type": "function", "function": {"name": "weather", "parameters": CITY}},
    {"type": "function", "function": {"name": "stop"}},
]
NAMED = {"type": "function", "function": {"name": "weather"}}


def check_required(tooled: Asked) -> None:
    """A random model: nothing but the form makes its texts calls."""
    for choice, seed in (("required", 0), ("required", 1), (NAMED, 2)):
        more = {"temperature": 1.0, "seed": seed, "max_tokens": 120}
        end = {"logit_bias": {str(tooled.token("}")): 100}}
        given = body(tools=CHOICES, tool_choice=choice, **more, **end)
        found = tooled.post("/v1/chat/completions", given).json()["choices"][0]
        assert found["finish_reason"] == "tool_calls" and found["message"]["content"] is None
        (call,) = found["message"]["tool_calls"]
        arguments = json.loads(call["function"]["arguments"])
        assert call["function"]["name"] in ("weather", "stop")
        if choice is NAMED or call["function"]["name"] == "weather":
            assert call["function"]["name"] == "weather"
            assert list(arguments) == ["city"] and arguments["city"] in ("Bern", "Köln")
        lines = tooled.post("/v1/chat/completions", {**given, "stream": True}).text.split("\n\n")
        parts = [json.loads(line[6:])["choices"][0] for line in lines if line.startswith("data: {")]
        (streamed,) = [
            part["delta"]["tool_calls"] for part in parts if "tool_calls" in part["delta"]
        ]
        assert streamed[0]["function"] == call["function"]


def test_a_required_call_is_made(tooled: Asked) -> None:
    check_required(tooled)


def test_planted_required_call_that_is_ignored(
    tooled: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_tools_to_call", lambda body: [])
    with pytest.raises((AssertionError, KeyError)):
        check_required(tooled)


@pytest.mark.parametrize(
    ("more", "param", "named"),
    [
        ({"tools": None, "tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"tool_choice": {"type": "function", "function": {"name": "wether"}}}, "tool_choice",
         "wether"),
        ({"tool_choice": "weather"}, "tool_choice", "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": 3}}}],
          "tool_choice": "required"}, "tools", "cannot be followed"),
        ({"tool_choice": "required", "response_format": {"type": "json_object"}},
         "response_format", "combined with tools"),
    ],
)  # fmt: skip
def test_wrong_choices_of_tools(tooled: Asked, more: Any, param: str, named: str) -> None:
    reply = tooled.post("/v1/chat/completions", body(**more))
    error = reply.json()["error"]
    assert reply.status_code == 400 and named in error["message"], error
    assert error["param"].startswith(param)
