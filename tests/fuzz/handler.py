"""What stands between a request's bytes and its reply, without gRPC around it.

Decoding, checking, scoring and encoding are those of a server with a small bundle. The first byte
of an input chooses the method and whether the rest is protobuf or JSON. Whatever is not a reply or
an expected status is raised.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isawaitable
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from micromoment.applications import ApplicationMaker, Stores
from micromoment.errors import MicromomentError
from micromoment.events.identity import IdEncoder
from micromoment.http.json_codec import parse_request, to_json
from micromoment.http.methods import METHODS
from micromoment.scoring.bundle import load_bundle
from micromoment.settings import Settings
from micromoment.stores.absent import NoEventLog, NoVisitLog
from micromoment.stores.bundles import find_bundle
from micromoment.stores.sessions import MemorySessionStore
from micromoment.transport.admission import Admission
from micromoment.transport.application import ApplicationSlot
from micromoment.transport.event_service import EventService
from micromoment.transport.observer import NoObserver
from micromoment.transport.scoring_service import ScoringService
from micromoment.transport.shedding import NEVER
from micromoment.transport.statuses import ANSWERS
from micromoment.transport.streams import Streams
from tests.support.fuzzed import Fuzz
from tests.support.serving import SlowUsers
from tests.support.tiny_bundle import make_tiny_store

_AS_JSON: Final = 0x80
_NOW_US: Final = 1_700_000_000_000_000
_PLACES: Final = {f"{one.service}.{one.name}": place for place, one in enumerate(METHODS)}


def inputs(seed: int, number: int) -> list[bytes]:
    """Make inputs of all methods, for a corpus to begin with."""
    fuzz = Fuzz(seed)
    made: list[bytes] = []
    while len(made) < number:
        method, data = fuzz.request()
        place = _PLACES.get(method.full_name)
        if place is not None and len(data) < 4_096:
            made.append(bytes([place]) + data)
    return made


@contextmanager
def a_handler() -> Iterator[Callable[[bytes], None]]:
    """Give what answers one input, and raises for what must not be."""
    store = Path(tempfile.mkdtemp(prefix="micromoment-fuzz-"))
    make_tiny_store(store)
    bundle = load_bundle(find_bundle(store, "shop:latest"))
    sessions = MemorySessionStore(1_000, 7_200)
    stores = Stores(sessions, NoVisitLog(), SlowUsers(), NoEventLog())
    observer = NoObserver()
    maker = ApplicationMaker(Settings(), stores, observer, IdEncoder(), lambda: _NOW_US)
    slot = ApplicationSlot()
    slot.fill(maker.make(bundle, warm_up_rounds=1))
    streams = Streams(
        Admission(8), observer, NEVER, most=0, idle_s=1.0, stall_s=1.0, deadline_s=1.0
    )
    owners: tuple[Any, ...] = (
        ScoringService(slot, observer, streams),
        EventService(slot, observer),
    )
    loop = asyncio.new_event_loop()

    async def answer(place: int, data: bytes) -> None:
        method = METHODS[place % len(METHODS)]
        owner = next(one for one in owners if hasattr(one, method.name))
        try:
            if place & _AS_JSON:
                request = parse_request(data, method)
            else:
                request = method.request.FromString(data)
            reply = getattr(owner, method.name)(request, None)
            to_json(await reply if isawaitable(reply) else reply)
        except DecodeError:
            return
        except Exception as error:
            # Its status would be INTERNAL; what was raised says more.
            if not isinstance(error, MicromomentError) or ANSWERS.get(type(error)) is None:
                raise

    try:
        yield lambda data: loop.run_until_complete(answer(data[0], data[1:])) if data else None
    finally:
        loop.close()
