"""`response_format`: the form of an answer, as OpenAI's API names it."""

import asyncio

from burnish.base.errors import BurnishError
from burnish.contracts.generation import Grammar
from burnish.engine.grammar import ANY_OBJECT
from burnish.server.errors import ApiError
from burnish.server.schema import ChatBody, Format, SchemaFormat, TextFormat
from burnish.server.served import ServedModel


async def form_of(served: ServedModel, body: ChatBody) -> Grammar | None:
    """The grammar that a chat asks for; None for free text. Raises ApiError.

    Source: OpenAI's API reference, response_format.
    Oracle: tests/server/test_forms.py::test_answers_have_the_form_that_was_asked_for
    """
    wanted = body.response_format
    if wanted is None or isinstance(wanted, TextFormat):
        return None
    if body.tools and body.tool_choice != "none":
        raise ApiError("response_format cannot be combined with tools", param="response_format")
    try:
        return await asyncio.to_thread(served.forms.of_schema, _schema(wanted))
    except BurnishError as error:
        code = "invalid_json_schema"
        raise ApiError(str(error), param="response_format", code=code) from error


def _schema(wanted: Format) -> object:
    if isinstance(wanted, SchemaFormat) and wanted.json_schema.json_schema is not None:
        return wanted.json_schema.json_schema
    return ANY_OBJECT
