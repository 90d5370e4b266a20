"""Made-up visits, alike for a seed: enough life in them to train a small model on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.vocabulary import DeviceType, EventType, PageType, ReferrerMedium
from tests.support.events import DAY, SECOND, START_US, AnEvent, AnItem, to_table

_STEPS: Final = (
    (EventType.PAGE_VIEW, PageType.HOME),
    (EventType.SEARCH, PageType.SEARCH),
    (EventType.LIST_VIEW, PageType.LIST),
    (EventType.ITEM_VIEW, PageType.ITEM),
    (EventType.CART_ADD, PageType.ITEM),
    (EventType.CART_REMOVE, PageType.CART),
    (EventType.CHECKOUT_START, PageType.CHECKOUT),
    (EventType.PURCHASE, PageType.CONFIRMATION),
)
_CURIOUS: Final = np.array([30, 12, 20, 25, 5, 2, 1, 0])
_DETERMINED: Final = np.array([10, 8, 10, 25, 20, 3, 15, 9])


def made_up_visits(n_sessions: int, *, days: int = 1, seed: int = 1) -> list[AnEvent]:
    """Let visits happen over some days from `START_US` on, in order of arrival."""
    random = np.random.default_rng(seed)
    events = [
        event
        for session in range(n_sessions)
        for event in _visit(f"s{session}", f"a{session // 2}", days, random)
    ]
    return sorted(events, key=lambda event: event.event_time)


def write_days(folder: Path, events: Iterable[AnEvent]) -> Path:
    """Write one file of `EVENT_SCHEMA` for each day in UTC; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    by_day: dict[str, list[AnEvent]] = {}
    for event in events:
        day = datetime.fromtimestamp(event.event_time // SECOND, UTC).date().isoformat()
        by_day.setdefault(day, []).append(event)
    for day, own in by_day.items():
        pq.write_table(to_table(own), folder / f"{day}.parquet")
    return folder


def in_order_of_sessions(events: Iterable[AnEvent]) -> pa.Table:
    """Put each session's events together, as golden sessions are kept."""
    return to_table(sorted(events, key=lambda event: event.session_id))


def _visit(session_id: str, visitor: str, days: int, random: np.random.Generator) -> list[AnEvent]:
    weights = _DETERMINED if random.random() < 0.3 else _CURIOUS
    acts = random.choice(len(_STEPS), size=random.integers(1, 16), p=weights / weights.sum())
    time = START_US + int(random.integers(0, days * DAY))
    visit: list[AnEvent] = []
    for act in acts:
        # Now and then several events come in one batch, or after a long pause.
        pause = random.choice([0.0, 1.0, 150.0], p=[0.25, 0.72, 0.03])
        time += int(pause * random.integers(1, 40) * SECOND)
        kind, page = _STEPS[act]
        if kind is EventType.PURCHASE:
            visit.append(_confirmation(session_id, visitor, time, len(visit)))
            time += SECOND // 1_000
        event = AnEvent(
            event_id=f"{session_id}-{len(visit)}",
            type=kind,
            event_time=time,
            session_id=session_id,
            anonymous_id=visitor,
            sequence=len(visit) + 1,
            page_id=f"/{page.name.lower()}/{random.integers(0, 5)}",
            page_type=page,
        )
        visit.append(_with_details(event, random))
        if kind is EventType.PURCHASE:
            break
    return visit


def _confirmation(session_id: str, visitor: str, time: int, place: int) -> AnEvent:
    # As shops send it: a millisecond before the purchase.
    return AnEvent(
        event_id=f"{session_id}-{place}",
        event_time=time,
        session_id=session_id,
        anonymous_id=visitor,
        sequence=place + 1,
        page_id="/order/confirmed",
        page_type=PageType.CONFIRMATION,
    )


def _with_details(event: AnEvent, random: np.random.Generator) -> AnEvent:
    item = AnItem(
        item_id=f"i{random.integers(0, 40)}",
        category_path=(f"c{random.integers(0, 4)}",),
        price_micros=int(random.integers(1, 90)) * SECOND,
        quantity=1 if event.type in {EventType.CART_ADD, EventType.CART_REMOVE} else None,
    )
    has_item = event.page_type is PageType.ITEM or event.type is EventType.CART_REMOVE
    return replace(
        event,
        items=(item,) if has_item else (),
        device=DeviceType(int(random.integers(0, 4))),
        medium=ReferrerMedium(int(random.integers(0, 5))),
        engagement_ms=int(random.integers(0, 30_000)) if random.random() < 0.5 else None,
        scroll_percent=float(random.integers(0, 101)) if random.random() < 0.3 else None,
        user_id=f"u{event.anonymous_id[1:]}" if random.random() < 0.05 else "",
    )
