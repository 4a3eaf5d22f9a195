"""The form of an answer that a chat asks for: `response_format`, or a call of a tool."""

import asyncio
from typing import Any

from burnish.base.errors import BurnishError
from burnish.contracts.generation import Grammar
from burnish.engine.grammar import ANY_OBJECT
from burnish.server.errors import ApiError
from burnish.server.schema import ChatBody, Format, NamedTool, SchemaFormat, TextFormat, Tool
from burnish.server.served import ServedModel


async def form_of(served: ServedModel, body: ChatBody) -> Grammar | None:
    """The grammar that a chat asks for; None for free text. Raises ApiError.

    A tool that has to be called is called once, by a JSON object of its name and arguments.
    Source: OpenAI's API reference, response_format and tool_choice.
    Oracle: tests/server/test_forms.py::test_answers_have_the_form_that_was_asked_for
    """
    wanted, offered = body.response_format, _tools_to_call(body)
    has_form = wanted is not None and not isinstance(wanted, TextFormat)
    if has_form and body.tools and body.tool_choice != "none":
        raise ApiError("response_format cannot be combined with tools", param="response_format")
    if offered:
        return await _grammar(served, _call_schema(offered), "tools")
    return await _grammar(served, _schema(wanted), "response_format") if has_form else None


async def _grammar(served: ServedModel, schema: object, param: str) -> Grammar:
    try:
        return await asyncio.to_thread(served.forms.of_schema, schema)
    except BurnishError as error:
        raise ApiError(str(error), param=param, code="invalid_json_schema") from error


def _tools_to_call(body: ChatBody) -> list[Tool]:
    """The tools of which one has to be called; none where the model is free."""
    choice, tools = body.tool_choice, body.tools or []
    if choice in (None, "none", "auto"):
        return []
    if not tools:
        raise ApiError("tool_choice needs tools", param="tool_choice")
    if not isinstance(choice, NamedTool):
        return tools
    name = choice.function.name
    found = [tool for tool in tools if tool.function.name == name]
    if not found:
        raise ApiError(f"tool_choice names no tool of this request: {name}", param="tool_choice")
    return found


def _call_schema(tools: list[Tool]) -> dict[str, Any]:
    """One call, as `tools.parse_tool_calls` reads it."""
    calls = []
    for index, tool in enumerate(tools):
        place = f"#/anyOf/{index}/properties/arguments"
        given = _moved(tool.function.parameters or {}, place)
        properties = {
            "name": {"const": tool.function.name},
            "arguments": {"type": "object", **given},
        }
        call = {"type": "object", "properties": properties, "required": list(properties)}
        calls.append(call | {"additionalProperties": False})
    return {"anyOf": calls}


def _moved(schema: Any, place: str) -> Any:
    """A schema that stands at another place: its references to itself follow."""
    if isinstance(schema, list):
        return [_moved(one, place) for one in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {name: _moved(value, place) for name, value in schema.items()}
    target = schema.get("$ref")
    if isinstance(target, str) and target.startswith("#"):
        moved["$ref"] = place + target[1:]
    return moved


def _schema(wanted: Format | None) -> object:
    if isinstance(wanted, SchemaFormat) and wanted.json_schema.json_schema is not None:
        return wanted.json_schema.json_schema
    return ANY_OBJECT
