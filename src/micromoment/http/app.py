"""The front door's addresses, as a Starlette application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from google.rpc.code_pb2 import DEADLINE_EXCEEDED, INVALID_ARGUMENT
from google.rpc.status_pb2 import Status
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from micromoment.http.door import MAX_BODY_BYTES, Door, HttpAnswer
from micromoment.http.json_codec import to_json
from micromoment.http.methods import METHODS, Method
from micromoment.http.openapi import openapi

# What a platform asks without a token, and calls, which ask for one by themselves.
_NOT_ASKED_FOR_TOKENS: Final = frozenset(("/livez", "/readyz", *(one.path for one in METHODS)))
_JSON: Final = "application/json"
_UNAUTHENTICATED: Final = 401
# BentoML's own page would load a tag manager from the web.
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>micromoment</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "./docs.json", dom_id: "#swagger-ui"})</script></body>
</html>
"""


def make_app(door: Door, registry: CollectorRegistry, *, describes: bool = True) -> Starlette:
    """Put the addresses together: the calls, the metrics, and a page if it `describes` the calls.

    Where calls need a token, everything needs one.
    """
    description = openapi()

    async def page(request: Request) -> Response:
        return _kept_out(door, request) or HTMLResponse(_PAGE)

    async def docs(request: Request) -> Response:
        return _kept_out(door, request) or JSONResponse(description)

    async def metrics(request: Request) -> Response:
        return _kept_out(door, request) or Response(
            generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )

    return Starlette(
        routes=[
            *(Route(one.path, _endpoint(door, one), methods=["POST"]) for one in METHODS),
            *((Route("/", page), Route("/docs.json", docs)) if describes else ()),
            Route("/metrics", metrics),
        ]
    )


class TokenEverywhere:
    """Asks for a token at BentoML's own addresses, too; calls ask for more by themselves."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request on, or answer that a token is missing."""
        app = self._app
        if scope["type"] == "http" and scope["path"] not in _NOT_ASKED_FOR_TOKENS:
            app = _kept_out(self._door, Request(scope)) or app
        await app(scope, receive, send)


def _endpoint(door: Door, method: Method) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        kept_out = _kept_out(door, request, method)
        if kept_out is not None:
            return kept_out
        # A page of somebody else's can make a browser post anything else.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            return _response(_refused(415, f"Content-Type: must be {_JSON}"))
        try:
            async with asyncio.timeout(door.default_deadline_s):
                body = await _body(request)
        except TimeoutError:
            return _response(_refused(408, "body: did not arrive in time", DEADLINE_EXCEEDED))
        if body is None:
            return _response(_refused(413, f"body: more than {MAX_BODY_BYTES} bytes"))
        return _response(await door.answer(method, body))

    return endpoint


def _kept_out(door: Door, request: Request, method: Method | None = None) -> Response | None:
    refusal = door.refusal(request.headers.items(), method)
    if refusal is None:
        return None
    response = _response(refusal)
    if refusal.code == _UNAUTHENTICATED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _body(request: Request) -> bytes | None:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _refused(code: int, why: str, status: int = INVALID_ARGUMENT) -> HttpAnswer:
    return HttpAnswer(code, to_json(Status(code=status, message=why)))


def _response(answer: HttpAnswer) -> Response:
    return Response(answer.body, answer.code, media_type=_JSON)
