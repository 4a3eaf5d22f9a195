"""Errors as clients know them: OpenAI's object below /v1, `detail` for the sandbox's endpoints."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from burnish.base.errors import BurnishError
from burnish.sandbox.service_api import DeadlinePassed
from burnish.server.gate import Refused

RETRIED = {"/run_code": 504}  # all that verl's client tries again; else its test has failed
TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "server_overloaded"}


class ApiError(Exception):
    """What a request gets instead of an answer."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


def error_body(
    path: str, status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The object that says what is wrong."""
    if not path.startswith("/v1/") or path == "/v1/ping":
        return {"detail": message}
    kind = "server_error" if status >= 500 else TYPES.get(status, "invalid_request_error")
    named = {"param": param, "code": code or CODES.get(status)}
    return {"error": {"message": message, "type": kind, **named}}


def answer_error(
    request: Request,
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
) -> JSONResponse:
    """A response with this error; statuses that may be tried again say so."""
    headers = {"Retry-After": "1"} if status in (429, 503, 504) else {}
    body = error_body(request.url.path, status, message, param=param, code=code)
    return JSONResponse(body, status_code=status, headers=headers)


def install_errors(app: FastAPI) -> None:
    """Answer every error that routes raise."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return answer_error(request, error.status, str(error), param=error.param, code=error.code)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return answer_error(request, RETRIED.get(request.url.path, error.status), str(error))

    @app.exception_handler(DeadlinePassed)
    async def late(request: Request, error: DeadlinePassed) -> JSONResponse:
        return answer_error(request, RETRIED.get(request.url.path, 503), str(error))

    @app.exception_handler(BurnishError)
    async def wrong(request: Request, error: BurnishError) -> JSONResponse:
        return answer_error(request, _wrong_status(request), str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return answer_error(request, 400, f"the body must be JSON: {first['msg']}")
        name = ".".join(str(part) for part in first["loc"][1:])
        message = f"{name or 'body'}: {first['msg']}"
        return answer_error(request, _wrong_status(request), message, param=name or None)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        found = answer_error(request, error.status_code, str(error.detail))
        found.headers.update(error.headers or {})
        return found

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return answer_error(request, 500, f"the server failed: {type(error).__name__}")


def _wrong_status(request: Request) -> int:
    return 400 if request.url.path.startswith("/v1/") else 422
