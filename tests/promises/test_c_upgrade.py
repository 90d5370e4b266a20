"""C4: a rolling upgrade and a roll-back between state formats, on one Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from micromoment.client import Client, score_request
from micromoment.v1 import scoring_pb2 as pb
from tests.promises.conftest import Form
from tests.support.feature_stores import a_redis
from tests.support.recovery import an_event
from tests.support.server_process import Server, Start

LOST = pb.DEGRADED_REASON_STATE_LOST
PATIENT = {"session_timeout": "10", "default_deadline": "30"}
# The same code with another state format.
SERVE_THE_NEXT_VERSION = """
import micromoment.features.state as state
state.STATE_VERSION += 1
from micromoment.cli import main
raise SystemExit(main(["serve"]))
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of the test's own."""
    with a_redis(tmp_path) as (_, port), Redis(port=port) as client:
        yield client


class Version:
    """A server of one version; what it alone would know is what it was sent."""

    def __init__(self, server: Server) -> None:
        port = server.await_event("serving")["port"]
        self.client = Client(f"127.0.0.1:{port}", deadline_s=30.0)
        self.seen: dict[int, list[int]] = {}

    def score(self, visit: int, number: int) -> pb.ScoreResponse:
        """Send a visit's event of that number."""
        self.seen.setdefault(visit, []).append(number)
        return _score(self.client, f"visit-{visit}", visit, number)


def _score(client: Client, name: str, visit: int, number: int) -> pb.ScoreResponse:
    request = score_request(
        name, [an_event(visit, number)], anonymous_id="a", include_features=True
    )
    (result,) = client.batch_score([request])
    assert result.HasField("response"), result
    return result.response


def _bits(reply: pb.ScoreResponse) -> tuple[float, bytes, int, str]:
    return (
        reply.conversion,
        reply.feature_vector.SerializeToString(),
        reply.events_seen,
        reply.last_event_id,
    )


def test_c4_state_formats_share_one_redis(
    start: Start, redis: Redis, form: Form, reached: Callable[[str, str], None]
) -> None:
    """Two code versions with different state formats on one Redis.

    Nothing overwritten, STATE_LOST said, never a wrong score.
    """
    port = redis.connection_pool.connection_kwargs["port"]
    shared = {"session_store": f"redis://127.0.0.1:{port}", **PATIENT}
    old = Version(start(**shared))
    new = Version(start(command=("-c", SERVE_THE_NEXT_VERSION), **shared))
    alone = Client(f"127.0.0.1:{start(**PATIENT).await_event('serving')['port']}", deadline_s=30.0)
    # Who gets each event: an upgrade, a roll-back, turns, and visits that stay where they are.
    courses = [
        [old] * 4 + [new] * 4,
        [new] * 3 + [old] * 5,
        [old, new] * 4,
        [new, old, old, new] * 2,
        [old] * 2 + [new] * 3 + [old] * 3,
        [old] * 8,
        [new] * 8,
    ] * form(1, 20)
    calls = told = 0
    for number in range(8):
        for visit, course in enumerate(courses):
            server = course[number]
            theirs = {
                key: value
                for key in redis.scan_iter(f"*visit-{visit}}}:v*")
                if (value := redis.get(key)) is not None
            }
            reply = server.score(visit, number)
            # What the other one wrote is as it was.
            changed = [key for key, value in theirs.items() if redis.get(key) != value]
            assert len(changed) == (1 if len(server.seen[visit]) > 1 else 0)
            # Lost is said from the first event that this server has not seen, and only then.
            assert (LOST in reply.degraded) == (len(server.seen[visit]) != number + 1)
            calls += 1
            told += LOST in reply.degraded
            known = server.client.get_session(f"visit-{visit}").scores
            assert (LOST in known.degraded) == (LOST in reply.degraded)
    # A score is that of the events which it says it has seen.
    for visit, course in enumerate(courses):
        for version in {id(one): one for one in course}.values():
            for number in version.seen[visit]:
                name = f"{visit}-{id(version)}"
                expected = _score(alone, name, visit, number)
            version.client.score(f"visit-{visit}", [])
            kept = version.client.score(f"visit-{visit}", [], include_features=True)
            assert _bits(kept) == _bits(expected)
    reached(
        "C4",
        f"{calls} calls in {len(courses)} visits at two formats: 0 states overwritten, "
        f"{told} incomplete answers, all STATE_LOST, all of the events they name",
    )
    for client in (old.client, new.client, alone):
        client.close()


def test_c4_an_upgrade_that_is_rolled_back(
    start: Start, redis: Redis, reached: Callable[[str, str], None]
) -> None:
    """The old version is replaced by the new one and comes back: no visit is lost in silence."""
    port = redis.connection_pool.connection_kwargs["port"]
    shared = {"session_store": f"redis://127.0.0.1:{port}", **PATIENT}
    said = []
    for number, command in enumerate((None, SERVE_THE_NEXT_VERSION, None)):
        server = start(**shared) if command is None else start(command=("-c", command), **shared)
        version = Version(server)
        said.append([LOST in version.score(visit, number).degraded for visit in range(20)])
        version.client.close()
        server.process.terminate()
        assert server.end(20)[0] == 0
    assert said == [[False] * 20, [True] * 20, [True] * 20]
    count = redis.get("micromoment:{default:visit-0}:writes")
    assert count == b"3"
    reached("C4", "20 visits over an upgrade and its roll-back: 0 lost in silence")
