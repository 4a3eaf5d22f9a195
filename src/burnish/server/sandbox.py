"""The sandbox's endpoints: `/run_code`, `/judge`, `/analyze`, `/detect`."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from burnish.analysis.service_api import analyze_code
from burnish.sandbox import service_api
from burnish.server.gate import Gate
from burnish.server.schema import Analyze, Detect, Judge, RunCode

Endpoint = Callable[..., dict[str, Any]]


def sandbox_routes(gate: Gate, *, num_workers: int, isolation: str) -> APIRouter:
    """The endpoints; every request holds a slot of the gate, and its deadline bounds the work."""
    router = APIRouter()
    threads = ThreadPoolExecutor(num_workers, thread_name_prefix="sandbox")

    async def work(endpoint: Endpoint, body: BaseModel) -> Response:
        given = body.model_dump(exclude_none=True)

        def run(left_s: float) -> dict[str, Any]:
            return endpoint(given, deadline_s=left_s, isolation=isolation)

        async with gate.slot() as slot:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(threads, run, slot.left_s)
        text = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
        return Response(text, media_type="application/json")

    @router.post("/run_code")
    async def run_code(body: RunCode) -> Response:
        """SandboxFusion's endpoint: compile and run a program."""
        return await work(service_api.run_code, body)

    @router.post("/judge")
    async def judge(body: Judge) -> Response:
        """Judge a program by its tests."""
        return await work(service_api.judge_code, body)

    @router.post("/analyze")
    async def analyze(body: Analyze) -> Response:
        """Structure, smells, bugs, coverage and efficiency of a program."""
        return await work(analyze_code, body)

    @router.post("/detect")
    async def detect(body: Detect) -> Response:
        """The language of a program."""
        return await work(service_api.detect_code, body)

    return router
