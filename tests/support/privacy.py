"""Somebody who is in every store of a server, and a search for what is left of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from redis import Redis

from micromoment.client import Client, event, item
from micromoment.events.hashing import hash_id
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb
from tests.support.feature_stores import LAG, SHOP, day, published
from tests.support.happenings import Happening, moment, write_events
from training.feature_store import FeatureWorkspace, apply
from training.feature_store.online import materialize
from training.snapshots import build_user_snapshots

USER = "canary-user@example.com"
BROWSER = "canary-browser-77"
SESSION = "canary-session"
OTHER = "somebody-else"
# Forms that say that somebody was here: ids, what the shop calls their events, and hashes of ids.
WORDS: Sequence[bytes] = (
    b"canary",
    *(hash_id(one).to_bytes(8, "little") for one in (USER, BROWSER)),
    *(str(hash_id(one)).encode() for one in (USER, BROWSER)),
)


def traces_in_files(*folders: Path) -> list[str]:
    """Name the files in which a word is, byte for byte, whatever they are."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                if any(word in content for word in WORDS):
                    found.append(path.name)
    return found


def traces_in_redis(client: Redis) -> list[str]:
    """Name the keys in whose name or value a word is."""
    found = []
    for key in client.scan_iter():
        content = b"\0".join([key, *_values(client, key)])
        if any(word in content for word in WORDS):
            found.append(key.decode(errors="replace"))
    return sorted(found)


def _values(client: Any, key: bytes) -> Iterator[bytes]:  # noqa: ANN401 - redis's types differ
    kind = client.type(key)
    if kind == b"string":
        yield client.get(key)
    elif kind == b"hash":
        for name, value in client.hgetall(key).items():
            yield from (name, value)
    elif kind == b"set":
        yield from client.smembers(key)
    elif kind == b"zset":
        yield from client.zrange(key, 0, -1)
    elif kind == b"stream":
        for _, fields in client.xrange(key):
            for name, value in fields.items():
                yield from (name, value)
    else:
        raise AssertionError(f"a key of type {kind!r}")


def a_workspace_with_them(folder: Path, *, own_config: str | None = None) -> FeatureWorkspace:
    """Make a registered and materialized workspace with snapshots of them and of others."""
    happenings = [
        Happening(moment(day(0), shop=SHOP), anonymous_id=visitor, session_id=f"{visitor}-s")
        for visitor in (BROWSER, OTHER, *(f"v{number}" for number in range(200)))
    ]
    happenings.append(Happening(moment(day(1), shop=SHOP), user_id=USER, session_id="canary-s2"))
    events = write_events(folder / "shop-events", happenings, SHOP)
    workspace = FeatureWorkspace(folder / "features")
    build_user_snapshots(
        events, workspace.snapshots, shop=SHOP, first_day=day(1), last_day=day(3), publish_lag=LAG
    )
    if own_config is not None:
        (workspace.root / "feature_store.yaml").write_text(own_config)
    apply(workspace)
    materialize(workspace, published(3))
    return workspace


@dataclass
class Visits:
    """Visits of them and of others; all events are stamped with the time at which they are sent."""

    client: Client
    _numbers: ClassVar[Iterator[int]] = count(1)

    def an_event(self, name: str, *, ago: timedelta = timedelta()) -> events_pb2.Event:
        """Make an event of now, or of some time ago."""
        number = next(self._numbers)
        return event(
            "item_view",
            event_id=f"{name}-{number}",
            event_time=datetime.now(UTC) - ago,
            items=[item(f"sku{number % 5}", price="9.99", quantity=1)],
            page=f"/{name}/{number}",
        )

    def theirs(self, session: str = SESSION, **options: Any) -> pb.ScoreResponse:  # noqa: ANN401
        """Let them come: first as a browser, then as a user."""
        self.client.score(session, [self.an_event("canary")], anonymous_id=BROWSER, **options)
        return self.client.score(session, [self.an_event("canary")], user_id=USER, **options)

    def others(self, session: str = "other-session") -> pb.ScoreResponse:
        """Let somebody else come."""
        return self.client.score(session, [self.an_event("other")], anonymous_id=OTHER)

    def outside(self, user_id: str, *, ago: timedelta = timedelta()) -> events_pb2.IngestResponse:
        """Let the order service tell of an order."""
        number = next(self._numbers)
        order = event(
            "purchase",
            event_id=f"{user_id}-order-{number}",
            event_time=datetime.now(UTC) - ago,
            order_id=f"{user_id}-{number}",
        )
        return self.client.ingest([order], user_id=user_id)
