"""Checks that a server's answers are right, before and after it is timed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.serving.errors import BenchmarkError
from micromoment.events.identity import IdEncoder
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import Score, SessionKey
from micromoment.scoring.scorer import Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.user_features import FeastUserFeatures
from micromoment.transport.decoding import RequestDecoder
from micromoment.v1 import scoring_pb2 as pb

_TIMEOUT_S: Final = 10.0
_TWO_DAYS_US: Final = 2 * 86_400_000_000
_LOST: Final = {pb.DEGRADED_REASON_STATE_LOST, pb.DEGRADED_REASON_STATE_UNAVAILABLE}


class WrongAnswerError(BenchmarkError):
    """A server's answer isn't what it must be."""


class OfflineShop:
    """Scores requests in this process, without a server, from the same bundle and user features."""

    def __init__(self, bundle: LoadedBundle, workspace: Path | None) -> None:
        self._scorer = Scorer(bundle, max_user_feature_age_us=_TWO_DAYS_US)
        self._decoder = RequestDecoder(bundle.shop, IdEncoder(()))
        self._workspace = workspace
        self._sessions: dict[SessionKey, SessionEntry] = {}

    def score(self, requests: Sequence[pb.ScoreRequest]) -> list[Score]:
        """Score requests in order; sessions go on from one to the next, but not from dry runs."""
        users = asyncio.run(self._look_up({request.anonymous_id for request in requests}))
        return [self._score(request, users[request.anonymous_id]) for request in requests]

    def _score(self, request: pb.ScoreRequest, user: UserLookup) -> Score:
        call = replace(self._decoder.score_call(request).call, user=user)
        known = self._sessions.get(call.key)
        entry = known
        scored = self._scorer.score(call, entry, lost=False)
        if scored.entry is not None:
            self._sessions[call.key] = scored.entry
        return scored.score

    async def _look_up(self, visitors: set[str]) -> dict[str, UserLookup]:
        if self._workspace is None:
            return dict.fromkeys(visitors, no_lookup(UserStatus.UNAVAILABLE))
        users = FeastUserFeatures(self._workspace, timeout_s=_TIMEOUT_S)
        users.warm_up()
        try:
            return {visitor: await users.look_up(visitor) for visitor in sorted(visitors)}
        finally:
            await users.close()


def check_scores(replies: Sequence[pb.ScoreResponse], expected: Sequence[Score]) -> None:
    """Compare replies with offline answers, to the last bit. Raises `WrongAnswerError`."""
    for reply, score in zip(replies, expected, strict=True):
        for name, (online, offline) in _compared(reply, score).items():
            if online != offline:
                raise WrongAnswerError(
                    f"{name} of {reply.last_event_id} is {online}, offline {offline}"
                )


def _compared(reply: pb.ScoreResponse, score: Score) -> dict[str, tuple[object, object]]:
    return {
        "conversion": (_optional(reply, "conversion"), score.conversion),
        "abandonment": (_optional(reply, "abandonment"), score.abandonment),
        "churn": (
            reply.churn.probability if reply.HasField("churn") else None,
            score.churn.probability if score.churn else None,
        ),
        "segment": (reply.segment.segment_id, score.segment.id if score.segment else ""),
        "events_seen": (reply.events_seen, score.events_seen),
        "last_event_id": (reply.last_event_id, score.last_event_id),
        "duplicates": (reply.duplicates, 0),
        "number of things lacking": (len(reply.degraded), len(score.degraded)),
        "bundle": (reply.bundle, score.bundle),
    }


def _optional(reply: pb.ScoreResponse, name: str) -> float | None:
    return getattr(reply, name) if reply.HasField(name) else None  # type: ignore[arg-type]


def parsed(bodies: Sequence[bytes]) -> list[pb.ScoreResponse]:
    """Read replies."""
    return [pb.ScoreResponse.FromString(body) for body in bodies]


def check_taken(requests: Sequence[pb.ScoreRequest], bodies: Sequence[bytes]) -> None:
    """See that each reply counts the event that was sent with it as new.

    Calls that ran out of time have no reply. Raises `WrongAnswerError`.
    """
    for request, reply in zip(requests, parsed(bodies), strict=False):
        sent = request.events[-1].event_id
        if reply.last_event_id != sent or reply.duplicates:
            raise WrongAnswerError(f"event {sent} was not taken as a new one")
        if _LOST & set(reply.degraded):
            raise WrongAnswerError(f"earlier events of event {sent}'s session were lost")


def check_prediction(name: str, predicted: float, expected: float) -> None:
    """Compare a peer's prediction with LightGBM's own. Raises `WrongAnswerError`."""
    if not np.float64(predicted) == np.float64(expected):
        raise WrongAnswerError(f"{name} predicts {predicted}, LightGBM {expected}")
