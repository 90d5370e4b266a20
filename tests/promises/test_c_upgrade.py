"""C4: a rolling upgrade and a roll-back between state formats, on one Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from micromoment.client import Client
from micromoment.v1 import scoring_pb2 as pb
from tests.promises.conftest import Form
from tests.support.feature_stores import a_redis
from tests.support.recovery import an_event
from tests.support.server_process import Server, Start

LOST = pb.DEGRADED_REASON_STATE_LOST
PATIENT = {"session_timeout": "10", "default_deadline": "30"}
# The same code with another state format; its machine code is the same.
SERVE_THE_NEXT_VERSION = """
import micromoment.scoring.answers
import micromoment.features.state as state
state.STATE_VERSION += 1
from micromoment.cli import main
main(["serve"])
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of the test's own."""
    with a_redis(tmp_path) as (_, port), Redis(port=port) as client:
        yield client


class Version:
    """A server of one version, and what it was sent of each visit."""

    def __init__(self, server: Server) -> None:
        port = server.await_event("serving")["port"]
        self.server = server
        self.client = Client(f"127.0.0.1:{port}", deadline_s=30.0)
        self.seen: dict[int, list[int]] = {}

    def score(self, visit: int, number: int) -> pb.ScoreResponse:
        """Send a visit's event of that number."""
        self.seen.setdefault(visit, []).append(number)
        return self.send(f"visit-{visit}", visit, number)

    def send(self, session: str, visit: int, number: int) -> pb.ScoreResponse:
        """Send an event of a visit as one of another session."""
        # Visits with a number that ends in 0 have a gap.
        one = an_event(10 * visit + 1 + visit % 9, number)
        return self.client.score(session, [one], anonymous_id="a", include_features=True)

    def end(self) -> None:
        """Drain."""
        self.client.close()
        self.server.process.terminate()
        assert self.server.end(20)[0] == 0


def _bits(reply: pb.ScoreResponse) -> tuple[float, bytes, int, str]:
    features = reply.feature_vector.SerializeToString()
    return reply.conversion, features, reply.events_seen, reply.last_event_id


def _states(redis: Redis, visit: int) -> dict[bytes, object]:
    return {key: redis.get(key) for key in redis.scan_iter(f"*visit-{visit}}}:v*")}


def test_c4_state_formats_share_one_redis(
    start: Start, redis: Redis, form: Form, reached: Callable[[str, str], None]
) -> None:
    """Two code versions with different state formats on one Redis.

    Nothing overwritten, STATE_LOST said, never a wrong score.
    """
    port = redis.connection_pool.connection_kwargs["port"]
    shared = {"session_store": f"redis://127.0.0.1:{port}", **PATIENT}
    both = start(**shared), start(command=("-c", SERVE_THE_NEXT_VERSION), **shared)
    old, new = map(Version, both)
    # Who gets each event: an upgrade, a roll-back, turns, both, and visits that stay.
    courses = [
        [old] * 4 + [new] * 4,
        [new] * 3 + [old] * 5,
        [old, new] * 4,
        [new, old, old, new] * 2,
        [old] * 2 + [new] * 3 + [old] * 3,
        [old] * 8,
        [new] * 8,
    ] * form(1, 20)
    told = 0
    for number in range(8):
        for visit, course in enumerate(courses):
            server, before = course[number], _states(redis, visit)
            reply = server.score(visit, number)
            seen = server.seen[visit]
            changed = [key for key, value in before.items() if redis.get(key) != value]
            # Of two states it changes its own.
            assert len(changed) == (1 if len(seen) > 1 else 0)
            assert reply.events_seen == len(seen)
            # Said from the first event on that this server has not seen, and only then.
            assert (LOST in reply.degraded) == (seen != list(range(number + 1)))
            known = server.client.get_session(f"visit-{visit}").scores
            assert list(known.degraded) == list(reply.degraded)
            told += LOST in reply.degraded
    for visit, course in enumerate(courses):
        stale = course[-1]
        for version in {id(one): one for one in course}.values():
            kept = version.client.score(f"visit-{visit}", [], include_features=True)
            numbers = version.seen[visit]
            expected = [old.send(f"{visit}-{id(version)}", visit, one) for one in numbers]
            assert _bits(kept) == _bits(expected[-1])
            # Whoever did not get the last event knows that, too, when it is only asked.
            assert version is stale or LOST in kept.degraded
    reached(
        "C4",
        f"{8 * len(courses)} calls of {len(courses)} visits at two formats: 0 states overwritten, "
        f"{told} answers that lack events, all STATE_LOST; every score that of the events it has",
    )
    old.end()
    again = Version(start(**shared))
    for visit, course in enumerate(courses):
        lost = LOST in again.score(visit, 8).degraded
        assert lost == (course != [old] * 8)
    again.end()
    new.end()
