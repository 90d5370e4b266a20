"""The HTTP front door in this process, called as its clients call it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from prometheus_client import CollectorRegistry

from micromoment.http.app import make_app
from micromoment.http.door import Door
from micromoment.http.methods import METHODS, Method
from micromoment.http.service import FrontDoor
from micromoment.security.access import Access
from micromoment.settings import Settings
from micromoment.transport.admission import Admission
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.observer import NoObserver

BY_NAME = {method.name: method for method in METHODS}
_Reply = TypeVar("_Reply", bound=Message)


@dataclass(frozen=True)
class HttpClient:
    """Calls a front door."""

    http: httpx.AsyncClient

    async def call(self, name: str, request: Message) -> Message:
        """Send a request as JSON; gives the reply, or the status where there is none."""
        method = BY_NAME[name]
        answer = await self.post(method, json_format.MessageToJson(request))
        kind = method.reply if answer.status_code == httpx.codes.OK else Status
        return json_format.Parse(answer.text, kind())

    async def post(self, method: Method, body: str | bytes, **headers: str) -> httpx.Response:
        """Send a body."""
        content_type = {"content-type": "application/json"}
        return await self.http.post(method.path, content=body, headers=content_type | headers)

    async def get(self, path: str) -> httpx.Response:
        """Get a page."""
        return await self.http.get(path)


@asynccontextmanager
async def a_door(
    application: Application | None,
    *,
    max_concurrent: int = 8,
    default_deadline_s: float = 5.0,
    access: Access | None = None,
) -> AsyncIterator[HttpClient]:
    """Serve the calls and pages of `application` without BentoML; None leaves it loading."""
    slot = ApplicationSlot()
    if application is not None:
        slot.fill(application)
    admission = Admission(max_concurrent)
    door = Door(slot, admission, NoObserver(), default_deadline_s=default_deadline_s, access=access)
    transport = httpx.ASGITransport(make_app(door, CollectorRegistry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
        yield HttpClient(http)


@asynccontextmanager
async def a_front_door(settings: Settings) -> AsyncIterator[HttpClient]:
    """Serve by BentoML's own application until the block ends."""
    app: Any = FrontDoor(settings).bento_service.to_asgi()
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            yield HttpClient(http)
