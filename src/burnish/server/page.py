"""The chat page at `/`: the report's style, no build step, nothing from other servers."""

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from burnish.server.served import ServedModel

ASSETS = {
    "report.css": ("burnish.report", "text/css"),
    "report.js": ("burnish.report", "text/javascript"),
    "chat.css": ("burnish.server", "text/css"),
    "chat.js": ("burnish.server", "text/javascript"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
)


def page_routes(served: ServedModel) -> APIRouter:
    """The page and its assets."""
    router = APIRouter(include_in_schema=False)
    environment = Environment(
        loader=PackageLoader("burnish.server"), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("chat.html").render(
        name=served.name,
        context_tokens=served.context_tokens,
        draft=served.draft,
        kv=served.kv,
        documents=list(served.indexes),
    )

    @router.get("/")
    async def chat_page() -> Response:
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        return Response(html, media_type="text/html", headers=headers)

    for name, (package, kind) in ASSETS.items():
        content = (files(package) / "templates" / name).read_bytes()
        router.add_api_route(f"/assets/{name}", _sender(content, kind), methods=["GET"])
    return router


def _sender(content: bytes, kind: str):
    async def send() -> Response:
        return Response(content, media_type=kind)

    return send
