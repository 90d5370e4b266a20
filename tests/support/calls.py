"""Requests to a scorer, in as few words as a test needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from micromoment.features.user_snapshot import UserLookup
from micromoment.scoring.calls import ScoreCall, SessionKey
from tests.support.events import SECOND, START_US, AnEvent, an_event, to_batch
from tests.support.folding import NOBODY

KEY = SessionKey("default", "s1")
OTHER = SessionKey("default", "s2")


def a_call(
    events: Sequence[AnEvent] = (),
    key: SessionKey = KEY,
    user: UserLookup | None = NOBODY,
    **fields: object,
) -> ScoreCall:
    """Make a request of these events."""
    call = ScoreCall(
        key=key,
        visitor=1,
        batch=to_batch(events),
        event_ids=tuple(event.event_id for event in events),
        user=user,
    )
    return replace(call, **fields)  # type: ignore[arg-type]


def visit(n_events: int, first: int = 1) -> list[AnEvent]:
    """Let pages be shown, ten seconds apart."""
    return [
        an_event(event_id=f"e{n}", event_time=START_US + n * 10 * SECOND, page_id=f"/{n % 3}")
        for n in range(first, first + n_events)
    ]
