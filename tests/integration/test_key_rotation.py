"""Keys change while visits are under way: no score changes by a bit, no session is forked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog

from micromoment.client import AsyncClient
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.stores.log_segments import read_rows, segments
from micromoment.stores.redis_log import read_stream
from micromoment.v1 import scoring_pb2 as pb
from tests.support.keyed import BEFORE, K1, K2, READY, ROTATED, calls_of, keyed_server
from tests.support.replicas import client_of, comparable, send
from tests.support.tiny_bundle import make_tiny_store
from training.parity import check_log

VISITS = 4
Answers = dict[tuple[str, int], bytes]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


async def play(client: AsyncClient, numbers: Sequence[int], places: range) -> Answers:
    """Send some calls of some visits, side by side."""
    answers = {}
    for place in places:
        for number in numbers:
            session = f"visit-{number}"
            request = list(calls_of(session, number))[place]
            answers[session, place] = comparable(await send(client, request))
    return answers


async def without_rotation(store: Path, folder: Path) -> Answers:
    """Give the answers of a server whose key stays."""
    async with keyed_server(store, folder, BEFORE) as server, client_of(server) as client:
        return await play(client, range(VISITS), range(10))


def visits_of(folder: Path) -> list[LoggedVisit]:
    """Read a server's log."""
    return [row for file in segments(folder / "event_log") for row in read_rows(file)]


def keys_by_session(rows: Sequence[LoggedVisit]) -> dict[str, set[str]]:
    """Give, of each session's id, the keys of its own and its visitors' ids."""
    found: dict[str, set[str]] = {}
    for row in rows:
        ids = found.setdefault(row.session_id, set())
        ids |= {row.session_id.partition(".")[0], row.visitor_id.partition(".")[0]}
    return found


@pytest.mark.parametrize("kept_in", ["log", "state_file"])
async def test_a_visit_under_way_gets_the_same_scores(
    store: Path, tmp_path: Path, kept_in: str
) -> None:
    """A server that restarts with a new key goes on with each session, duplicates and customer."""
    expected = await without_rotation(store, tmp_path / "same")
    changes = {"state_file": tmp_path / "sessions"} if kept_in == "state_file" else {}
    folder = tmp_path / "rotated"
    early, late = range(2), range(2, VISITS)
    async with (
        keyed_server(store, folder, BEFORE, **changes) as server,
        client_of(server) as client,
    ):
        answers = await play(client, early, range(3))
        answers |= await play(client, [1], range(3, 6))  # its customer is known by then
    async with (
        keyed_server(store, folder, ROTATED, **changes) as server,
        client_of(server) as client,
    ):
        answers |= await play(client, [0], range(3, 10))
        answers |= await play(client, [1], range(6, 10))
        answers |= await play(client, late, range(10))
        seen = [await client.get_session(f"visit-{number}") for number in range(VISITS)]
    assert answers == expected
    assert [one.scores.events_seen for one in seen] == [10] * VISITS
    # What was served can be computed again from the log, to the last bit.
    parity = check_log(visits_of(folder), store)
    assert parity.mismatches == []
    assert parity.compared == len(answers)
    keys = keys_by_session(visits_of(folder))
    assert len(keys) == VISITS
    assert sorted(map(tuple, keys.values())) == [("k1",), ("k1",), ("k2",), ("k2",)]


async def test_servers_change_keys_one_after_the_other(
    store: Path,
    tmp_path: Path,
    redis: Any,  # noqa: ANN401 - its own annotations cover awaitables
    port: int,
) -> None:
    """On Redis a server that has the new key first and one that has it second share all visits."""
    expected = await without_rotation(store, tmp_path / "same")
    url = f"redis://127.0.0.1:{port}"
    answers: Answers = {}
    async with AsyncExitStack() as stack:

        async def start(name: str, keys: str) -> AsyncClient:
            server = keyed_server(store, tmp_path / name, keys, session_store=url)
            return await stack.enter_async_context(
                client_of(await stack.enter_async_context(server))
            )

        before = await start("before", BEFORE)
        answers |= await play(before, range(1), range(3))
        ready, rotated = await start("ready", READY), await start("rotated", ROTATED)
        for place in range(10):
            clients = (ready, rotated) if place % 2 else (rotated, ready)
            for number in range(1, VISITS):
                client = clients[number % 2]
                answers |= await play(client, [number], range(place, place + 1))
        answers |= await play(rotated, range(1), range(3, 6))
        answers |= await play(ready, range(1), range(6, 10))
        seen = await ready.get_session("visit-2")
    assert answers == expected
    assert seen.scores.events_seen == 10
    rows = list(read_stream(url))
    assert [row.kind for row in rows].count(RowKind.BEGAN) == VISITS
    keys = keys_by_session(rows)
    assert len(keys) == VISITS
    assert {len(ids) for ids in keys.values()} == {1}
    assert set.union(*keys.values()) == {"k1", "k2"}
    assert not [name for name in redis.keys("*") if b"visit-" in name]


async def test_a_session_that_begins_at_two_servers_at_once_is_one(
    store: Path,
    tmp_path: Path,
    redis: Any,  # noqa: ANN401 - its own annotations cover awaitables
    port: int,
) -> None:
    """Whichever current key the servers have, the first calls of a session meet in one."""
    url = f"redis://127.0.0.1:{port}"
    sessions = [f"new-{number}" for number in range(60)]
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                client_of(
                    await stack.enter_async_context(
                        keyed_server(store, tmp_path / name, keys, session_store=url)
                    )
                )
            )
            for name, keys in (("ready", READY), ("rotated", ROTATED))
        ]

        async def first_call(session: str, place: int) -> pb.ScoreResponse:
            return await send(clients[place], list(calls_of(session, 1))[place])

        for session in sessions:
            await asyncio.gather(first_call(session, 0), first_call(session, 1))
        seen = [await clients[0].get_session(session) for session in sessions]
    assert {one.scores.events_seen for one in seen} == {2}
    assert len(redis.keys("*:writes")) == len(sessions)


async def test_a_key_costs_no_round_trip(
    store: Path,
    tmp_path: Path,
    redis: Any,  # noqa: ANN401 - its own annotations cover awaitables
    port: int,
) -> None:
    """A new session costs Redis as many commands with two keys as with one."""
    asked = {}
    for name, keys in (("one", K1), ("two", f"{K2}\n{K1}")):
        server = keyed_server(
            store, tmp_path / name, keys, session_store=f"redis://127.0.0.1:{port}"
        )
        async with server as running, client_of(running) as client:
            await play(client, range(1), range(2))  # the script is known from here on
            before = redis.info("commandstats")
            await play(client, range(1, 3), range(4))
            after = redis.info("commandstats")
        asked[name] = {
            command: after[f"cmdstat_{command}"]["calls"]
            - before.get(f"cmdstat_{command}", {"calls": 0})["calls"]
            for command in ("mget", "evalsha")
        }
        redis.flushdb()
    assert asked["one"] == asked["two"] == {"mget": 2, "evalsha": 8}


@pytest.mark.parametrize(("mode", "settings"), [(0o644, ["id_key_file"]), (0o640, [])])
async def test_a_file_of_keys_that_all_can_read_is_warned_of(
    store: Path, tmp_path: Path, mode: int, settings: list[str]
) -> None:
    """The start says which setting names it, and no secret of it."""
    keys = tmp_path / "keys"
    keys.write_text(ROTATED)
    keys.chmod(mode)
    with structlog.testing.capture_logs() as logs:
        async with keyed_server(store, tmp_path, "", id_keys=None, id_key_file=keys):
            pass
    warned = [one for one in logs if one["event"] == "key_readable_by_all"]
    assert [one["setting"] for one in warned] == settings
    assert "secret" not in str(logs)
