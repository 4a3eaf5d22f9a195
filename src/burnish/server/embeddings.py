"""`/v1/models` and `/v1/embeddings`."""

import asyncio
import base64
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response

from burnish.draft.cost import PLAIN
from burnish.engine.embed import embed
from burnish.server.completions import GONE
from burnish.server.errors import ApiError
from burnish.server.schema import EmbeddingBody
from burnish.server.served import ServedModel
from burnish.server.writing import unless_gone

BATCH_ROWS = 512  # of a pass between two decode steps


def model_routes(served: ServedModel) -> APIRouter:
    """What is served, and its embeddings."""
    router, cards = APIRouter(), _cards(served)

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The model that is served, and the documents that it can be asked about."""
        return {"object": "list", "data": list(cards.values())}

    @router.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """The card of a model."""
        if name not in cards:
            served.check_name(name)
        return cards.get(name, cards[served.name])

    @router.post("/v1/embeddings")
    async def embeddings(body: EmbeddingBody, request: HttpRequest) -> Response:
        """A vector of unit length for each text: the mean of the last layer's states."""
        served.check_name(body.model)
        width = served.model.config.get_text_config().hidden_size
        if body.dimensions not in (None, width):
            message = f"vectors of this model have {width} dimensions"
            raise ApiError(message, param="dimensions")
        texts = await asyncio.to_thread(served.prompts, body.input, "input")
        longest = max(map(len, texts))
        if longest > served.model.max_position:
            message = f"a text has at most {served.model.max_position} tokens, got {longest}"
            raise ApiError(message, param="input", code="context_length_exceeded")
        async with served.gate.slot():
            vectors = await unless_gone(request, _vectors(served, texts))
        if vectors is None:
            return Response(status_code=GONE)
        num = sum(map(len, texts))
        rows = [
            {"object": "embedding", "index": i, "embedding": _written(vector, body)}
            for i, vector in enumerate(vectors)
        ]
        counted = {"prompt_tokens": num, "total_tokens": num}
        return JSONResponse(
            {"object": "list", "data": rows, "model": served.name, "usage": counted}
        )

    return router


def _cards(served: ServedModel) -> dict[str, dict[str, Any]]:
    """What clients learn of the model, and of each document."""
    card = {"id": served.name, "object": "model", "created": served.created}
    card |= {"owned_by": "burnish", "max_model_len": served.context_tokens}
    card |= {"draft": served.draft, "kv": served.kv}
    return {served.name: card} | {
        name: {**card, "id": name, "draft": PLAIN, "kv": index.manifest.policy}
        | {"root": served.name, "document_tokens": index.manifest.total_tokens}
        for name, index in served.indexes.items()
    }


async def _vectors(served: ServedModel, texts: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Text by text, so that decoding goes on between them."""
    found = []
    for tokens in texts:
        work = served.worker.call(lambda t=tokens: embed(served.model, [t], batch_rows=BATCH_ROWS))
        found.append((await asyncio.wrap_future(work))[0].numpy())
    return found


def _written(vector: np.ndarray, body: EmbeddingBody) -> list[float] | str:
    if body.encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return vector.tolist()
