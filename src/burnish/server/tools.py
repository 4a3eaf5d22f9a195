"""Tool calls in an answer, as chat templates teach models to write them."""

import json
import re
import secrets
from typing import Any

CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)


def parse_tool_calls(text: str) -> tuple[str, list[dict[str, Any]]]:
    """The text without its tool calls, and the calls as OpenAI's API gives them.

    Read are `<tool_call>JSON</tool_call>` (Hermes, Qwen, SmolLM2) and an answer that is nothing
    but JSON (Llama 3): an object, or a list of objects, with `name` and `arguments` or
    `parameters`. What is none of these stays text.
    Source: the chat templates of these families.
    Oracle: tests/server/test_tools.py::test_calls_as_families_write_them
    """
    whole = _calls(text.strip())
    if whole:
        return "", whole
    calls: list[dict[str, Any]] = []

    def take(match: re.Match[str]) -> str:
        found = _calls(match[1])
        calls.extend(found)
        return "" if found else match[0]

    rest = CALL.sub(take, text)
    return (rest.strip(), calls) if calls else (text, [])


def _calls(text: str) -> list[dict[str, Any]]:
    if not text.startswith(("{", "[")):
        return []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    items = value if isinstance(value, list) else [value]
    found = [_call(item) for item in items]
    return [call for call in found if call] if all(found) else []


def _call(item: Any) -> dict[str, Any] | None:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None
    arguments = item.get("arguments", item.get("parameters"))
    if isinstance(arguments, str):
        text = arguments
    elif isinstance(arguments, dict):
        text = json.dumps(arguments, ensure_ascii=False)
    else:
        return None
    function = {"name": item["name"], "arguments": text}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
