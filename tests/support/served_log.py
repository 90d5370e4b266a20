"""A log as a server leaves it: visits of every kind, served in this process with a real bundle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from micromoment.client import event, score_request
from micromoment.events.vocabulary import EventType
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.settings import Settings
from micromoment.stores.log_rows import LoggedVisit
from micromoment.stores.log_segments import read_rows, segments
from micromoment.v1 import events_pb2
from tests.support.bundles import CALIBRATOR, bundle_parts, tiny_conversion, tiny_model
from tests.support.events import DAY, START_US, AnEvent
from tests.support.folding import a_lookup
from tests.support.segments import some_audiences, two_clusters
from tests.support.serving import SlowUsers
from tests.support.swapping import Served, swapping
from tests.support.visits import made_up_visits
from training.churn.baselines import ChurnBaselines
from training.models.baseline import LogisticBaseline
from training.publishing.bundle import ChurnParts, ModelParts, write_bundle

ORDERED_AT = datetime(2024, 5, 5, tzinfo=UTC)


def segment_store(folder: Path) -> tuple[str, str]:
    """Put two bundles with clusters and audiences into a store; give their tags."""
    tags = []
    for trees in (40, 25):
        draft = folder / "tiny" / "draft"
        parts: dict[str, Any] = {
            "clusters": two_clusters(),
            "audiences": some_audiences(),
            "conversion": tiny_conversion(trees=trees),
            "churn": _churn(),
            "absent": {},
        }
        manifest = write_bundle(draft, bundle_parts(**parts))
        draft.rename(draft.with_name(manifest.version))
        tags.append(f"tiny:{manifest.version}")
    (folder / "tiny" / "latest").write_text(tags[0].partition(":")[2], encoding="utf-8")
    return tags[0], tags[1]


def _churn() -> ChurnParts:
    alone = LogisticBaseline(("n_events",), (0.1,), -1.0)
    return ChurnParts(
        model=ModelParts(tiny_model(FEATURE_NAMES, 12), CALIBRATOR, FEATURE_NAMES),
        target="activity",
        horizon_days=14,
        orders=None,
        baselines=ChurnBaselines(alone, alone, None),
    )


@dataclass
class SomeUsers(SlowUsers):
    """Knows every third visitor, is out of reach for every seventh, and never met the others."""

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Answer by the number in the visitor's name."""
        number = int("0" + "".join(letter for letter in visitor_id if letter.isdigit()))
        if number % 7 == 6:
            return no_lookup(UserStatus.UNAVAILABLE)
        if number % 3 == 0:
            return a_lookup(
                snapshot_time=START_US - DAY,
                first_seen=START_US - (9 + number) * DAY,
                last_seen=START_US - 2 * DAY,
                sessions=3 + number,
                active_days=2 + number,
                events_28d=40 * number,
            )
        return no_lookup(UserStatus.UNKNOWN)


def server_settings(store: Path, state_dir: Path, **changes: Any) -> Settings:  # noqa: ANN401
    """Settings of a server that logs every score with its features."""
    known: dict[str, Any] = {
        "port": 0,
        "metrics_port": None,
        "admin_port": 0,
        "bundle": "tiny:latest",
        "bundle_store": store,
        "state_dir": state_dir,
        "log_scores": 1.0,
        "log_features": 1.0,
        "user_feature_timeout": 20.0,
        "drain_lag": 0.0,
        "drain_grace": 1.0,
    }
    return Settings(**(known | changes))


@dataclass(frozen=True)
class Chunk:
    """Events of one visit that go into one call."""

    session_id: str
    anonymous_id: str
    user_id: str
    events: tuple[AnEvent, ...]

    @property
    def options(self) -> dict[str, Any]:
        """Who the visitor is, as a request says it."""
        return {"anonymous_id": self.anonymous_id, "user_id": self.user_id}


def chunks(visits: Sequence[AnEvent], seed: int = 1) -> list[Chunk]:
    """Cut visits into calls of one to four events; all visits go on side by side."""
    chance = random.Random(seed)
    own: dict[str, list[AnEvent]] = {}
    for one in visits:
        own.setdefault(one.session_id, []).append(one)
    found = []
    for session_id, events in own.items():
        user_id = ""
        left = list(events)
        begins = chance.random()
        while left:
            size = chance.choice((1, 1, 2, 4))
            some, left = tuple(left[:size]), left[size:]
            user_id = next((one.user_id for one in some if one.user_id), user_id)
            place = begins + 1 - len(left) / len(events)
            found.append((place, Chunk(session_id, some[0].anonymous_id, user_id, some)))
    return [chunk for _, chunk in sorted(found, key=lambda one: one[0])]


@dataclass
class Play:
    """Sends calls in every way that there is, with repeats and questions of a later time."""

    served: Served
    chance: random.Random = field(default_factory=lambda: random.Random(4))

    async def all(self, calls: Iterable[Chunk]) -> None:
        """Send all of them, batches of different visits together."""
        batch: dict[str, Chunk] = {}
        async with self.served.scoring.stream() as stream:
            for call in calls:
                way = self.chance.random()
                events = [one.to_proto() for one in call.events]
                client = self.served.scoring
                if call.session_id in batch or len(batch) > 5:
                    await self._send(batch)
                if way < 0.3:
                    batch[call.session_id] = call
                elif way < 0.55:
                    await stream.score(call.session_id, events, **call.options)
                elif way < 0.7:
                    await client.ingest(events, session_id=call.session_id, **call.options)
                else:
                    await client.score(call.session_id, events, **call.options)
                if way > 0.9:
                    await self._ask_again(call, events)
            await self._send(batch)

    async def _ask_again(self, call: Chunk, events: list[events_pb2.Event]) -> None:
        """Send a call as a retry does, then one that keeps nothing, then one about later."""
        client = self.served.scoring
        await client.score(call.session_id, events, **call.options)
        await client.score(call.session_id, events[-1:], dry_run=True, **call.options)
        later = datetime.fromtimestamp(call.events[-1].event_time / 1e6 + 86_400, UTC)
        await client.score(call.session_id, as_of=later)

    async def _send(self, batch: dict[str, Chunk]) -> None:
        if not batch:
            return
        requests = [
            score_request(name, [one.to_proto() for one in call.events], **call.options)
            for name, call in batch.items()
        ]
        batch.clear()
        for result in await self.served.scoring.batch_score(requests):
            assert result.HasField("response"), result.status


async def serve_visits(
    settings: Settings, tags: tuple[str, str], visits: Sequence[AnEvent]
) -> Path:
    """Serve visits over a swap of bundles and a restart; give the folder of the log.

    Afterwards the order service tells of an order that no visit had, of all those that a visit
    had, and of a refund.
    """
    calls = chunks(visits)
    third = len(calls) // 3
    async with swapping(settings, SomeUsers()) as served:
        await Play(served).all(calls[:third])
        await served.activate(tags[1])
        await Play(served).all(calls[third : 2 * third])
    async with swapping(settings, SomeUsers()) as served:
        await Play(served).all(calls[2 * third :])
        orders = [one for one in visits if one.order_id]
        told = [("purchase", "o-new", "u1"), ("refund", orders[0].order_id, "u2")]
        told += [("purchase", one.order_id, one.anonymous_id) for one in orders]
        for kind, order_id, user_id in told:
            its_id = f"{kind}-{order_id}"
            one = event(kind, event_id=its_id, order_id=order_id, event_time=ORDERED_AT)
            await served.scoring.ingest([one], user_id=user_id)
    assert settings.event_log is not None
    return settings.event_log


def with_order(one: AnEvent) -> AnEvent:
    """Give a purchase the order's id."""
    is_order = one.type is EventType.PURCHASE
    return replace(one, order_id=f"o-{one.session_id}") if is_order else one


def make_served_log(folder: Path, sessions: int = 120) -> tuple[Path, Path]:
    """Serve made-up visits of three days; give the store and the folder of the log."""
    tags = segment_store(folder / "store")
    settings = server_settings(folder / "store", folder / "state")
    visits = [with_order(one) for one in made_up_visits(sessions, days=3, seed=11)]
    return folder / "store", asyncio.run(serve_visits(settings, tags, visits))


def logged(folder: Path) -> Iterator[LoggedVisit]:
    """Go through all rows of a log."""
    for segment in segments(folder):
        yield from read_rows(segment)
