"""F4: what callers choose makes no series."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb
from tests.promises.conftest import Form, Reached
from tests.support.restarts import scrape
from tests.support.shop_server import a_shop_server

_DEADLINE_S = 30.0
_AGENTS = 20
_OPTIONS = (("grpc.enable_http_proxy", 0),)
_SCORE = "/micromoment.v1.ScoringService/Score"
_INGEST = "/micromoment.v1.EventService/Ingest"


def series_of(text: str) -> set[str]:
    """Give the names of all series with their labels."""
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and line[0] != "#"}


def a_word(chance: random.Random) -> str:
    """Make a random id."""
    return "".join(chance.choices(string.ascii_letters + string.digits + "._-", k=16))


def an_event(chance: random.Random) -> events_pb2.Event:
    """Make an event of which everything that a caller names is new; some types are none."""
    event = events_pb2.Event(
        event_id=a_word(chance),
        page=events_pb2.Page(page_id=f"/{a_word(chance)}", title=a_word(chance)),
        referrer=events_pb2.Referrer(campaign=a_word(chance), source=a_word(chance)),
        items=[events_pb2.Item(item_id=a_word(chance), brand=a_word(chance))],
        attributes={a_word(chance): a_word(chance)},
        locale=a_word(chance),
    )
    event.event_time.FromSeconds(1_700_000_000)
    event.type = chance.choice([1, 2, 3, 999, chance.randrange(1 << 20)])  # type: ignore[assignment] # also none
    return event


def requests(chance: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Make so many calls, each with ids that no other has: of methods that exist and that don't."""
    for number in range(count):
        ids: dict[str, Any] = {"session_id": a_word(chance), "user_id": a_word(chance)}
        if number % 10 == 0:
            service, method = a_word(chance), a_word(chance)
            prefix = chance.choice(["", "micromoment.v1."])
            yield f"/{prefix}{service}/{method}", b""
        elif number % 10 == 1:
            yield f"/micromoment.v1.ScoringService/{a_word(chance)}", b""
        elif number % 10 == 2:
            request = events_pb2.IngestRequest(**ids, events=[an_event(chance)])
            yield _INGEST, request.SerializeToString()
        else:
            yield _SCORE, pb.ScoreRequest(**ids, events=[an_event(chance)]).SerializeToString()


def send(address: str, calls: Iterator[tuple[str, bytes]], agents: list[str]) -> set[str]:
    """Send calls over connections with user agents of their own; give the statuses."""
    channels: list[Any] = [
        grpc.insecure_channel(address, options=[*_OPTIONS, ("grpc.primary_user_agent", agent)])
        for agent in agents
    ]
    codes = set()
    for number, (method, body) in enumerate(calls):
        call = channels[number % len(channels)].unary_unary(method)
        metadata = ((f"x-{number}", str(number)),)
        try:
            call(body, timeout=_DEADLINE_S, metadata=metadata)
            codes.add("OK")
        except grpc.RpcError as error:
            codes.add(error.code().name)
    for channel in channels:
        channel.close()
    return codes


@pytest.mark.parametrize("seed", [1])
def test_f4_random_ids_add_no_series(
    store: Path, tmp_path: Path, seed: int, form: Form, reached: Reached
) -> None:
    """10,000 random ids of everything, methods and user agents: 0 series more than a handful made.

    Scraped are the series after one call of each kind, and after all: sessions, users, events,
    pages, titles, campaigns, sources, products, brands, attributes, locales, types that are none,
    methods and services that are none, metadata and user agents, each random.
    """
    chance = random.Random(seed)
    count = form(1_000, 10_000)
    with a_shop_server(store, tmp_path, max_sessions="500") as server:
        send(server.address, requests(chance, 60), ["first"])
        before = series_of(scrape(server.metrics_port))
        agents = [a_word(chance) for _ in range(_AGENTS)]
        codes = send(server.address, requests(chance, count), agents)
        after = series_of(scrape(server.metrics_port))
    assert {"OK", "INVALID_ARGUMENT", "UNIMPLEMENTED"} <= codes
    assert after - before == set()
    reached(
        "F4", f"{count:,} calls with some {12 * count:,} random ids: {len(before)} series, 0 more"
    )
