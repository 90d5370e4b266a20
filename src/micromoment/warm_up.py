"""Pays for first calls before the server says that it serves."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from micromoment.features.user_snapshot import USER_SNAPSHOT, UserLookup, UserStatus
from micromoment.scoring.scorer import Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.encoding import ReplyEncoder, timestamp
from micromoment.v1 import events_pb2, scoring_pb2

# Enough for caches, branch predictors and the allocator to settle.
FULL_ROUNDS: Final = 200
_US_PER_SECOND: Final = 1_000_000


def warm_up(scorer: Scorer, decoder: RequestDecoder, encoder: ReplyEncoder, rounds: int) -> None:
    """Decode, score and encode so many made-up calls."""
    user = UserLookup(UserStatus.FOUND, np.zeros(1, USER_SNAPSHOT))
    entries: dict[str, SessionEntry | None] = {}
    for place in range(rounds):
        request = _request(place, decoder.clock_us())
        visit = decoder.score_call(request)
        entry = entries.get(request.session_id)
        scorer.needs_user(entry, visit.call.batch)
        scored = scorer.score(replace(visit.call, user=user), entry, lost=False)
        entries[request.session_id] = scored.entry
        encoder.score_response(
            request.session_id, scored.score, include_features=request.include_features
        )


def _request(place: int, now_us: int) -> scoring_pb2.ScoreRequest:
    kinds = (
        events_pb2.EVENT_TYPE_PAGE_VIEW,
        events_pb2.EVENT_TYPE_ITEM_VIEW,
        events_pb2.EVENT_TYPE_CART_ADD,
    )
    event = events_pb2.Event(
        event_id=f"warm-up-{place}",
        type=kinds[place % len(kinds)],
        event_time=timestamp(now_us - (FULL_ROUNDS - place) * _US_PER_SECOND),
        items=[events_pb2.Item(item_id="warm-up", price_micros=1_000_000, quantity=1)],
        page=events_pb2.Page(page_id="/warm-up", type=events_pb2.PAGE_TYPE_ITEM),
    )
    return scoring_pb2.ScoreRequest(
        session_id=f"warm-up-{place % 10}",
        anonymous_id="warm-up",
        events=[event],
        explain=place == 0,
        include_features=place % 2 == 0,
    )
