"""A logged score and one made anew, field by field, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from micromoment.scoring.calls import Score
from micromoment.transport.recorder import fill_score
from micromoment.v1 import log_pb2 as pb
from micromoment.v1 import scoring_pb2

# Reasons that stand for a server's surroundings and settings; no event tells of them.
_OF_THE_SERVER: Final = frozenset(
    {
        scoring_pb2.DEGRADED_REASON_STATE_UNAVAILABLE,
        scoring_pb2.DEGRADED_REASON_LOG_UNAVAILABLE,
        scoring_pb2.DEGRADED_REASON_USER_FEATURES_STALE,
    }
)
_NOT_COMPARED: Final = frozenset({"score_id", "features", "degraded"})

# What differs: the field, what was logged, what is said now.
Difference = tuple[str, str, str]


def differences(logged: pb.LoggedScore, score: Score, features: Sequence[str]) -> list[Difference]:
    """List what differs; `features` are the bundle's names. Without a logged vector none is."""
    anew = pb.LoggedScore()
    fill_score(anew, score, with_features=bool(logged.features))
    before, after = _values(logged), _values(anew)
    found = [
        (name, before.get(name, "absent"), after.get(name, "absent"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    was, now = _of_events(logged), _of_events(anew)
    if was != now:
        found.append(("degraded", repr(was), repr(now)))
    return found + _of_vectors(logged.features, anew.features, features)


def _values(message: pb.LoggedScore) -> dict[str, str]:
    # A float's shortest text tells all of its bits.
    return {
        field.name: repr(list(value) if field.name == "audience_ids" else value)
        for field, value in message.ListFields()
        if field.name not in _NOT_COMPARED
    }


def _of_events(message: pb.LoggedScore) -> list[str]:
    reasons = set(message.degraded) - _OF_THE_SERVER
    return sorted(scoring_pb2.DegradedReason.Name(reason) for reason in reasons)


def _of_vectors(logged: bytes, anew: bytes, names: Sequence[str]) -> list[Difference]:
    if len(logged) != len(anew):
        return [("features", f"{len(logged)} bytes", f"{len(anew)} bytes")]
    was, now = np.frombuffer(logged, "<u4"), np.frombuffer(anew, "<u4")
    return [
        (
            f"feature {names[place]}",
            repr(float(was.view("<f4")[place])),
            repr(float(now.view("<f4")[place])),
        )
        for place in np.flatnonzero(was != now).tolist()
    ]
