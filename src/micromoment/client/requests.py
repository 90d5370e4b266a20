"""Builds requests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict, Unpack

from micromoment.client.events import to_timestamp
from micromoment.v1 import events_pb2, scoring_pb2


class ScoreOptions(TypedDict, total=False):
    """What may be said or asked for beside the events, as in `micromoment.v1.ScoreRequest`."""

    user_id: str
    anonymous_id: str
    as_of: datetime  # with a time zone
    explain: bool
    include_features: bool
    dry_run: bool
    consent: events_pb2.Consent  # of events that carry none of their own


def score_request(
    session_id: str,
    events: Iterable[events_pb2.Event] = (),
    **options: Unpack[ScoreOptions],
) -> scoring_pb2.ScoreRequest:
    """Build a request to score one visit, for a batch say.

    Raises `TypeError` for an option that there isn't: a misspelt id would be lost in silence.
    """
    unknown = sorted(options.keys() - ScoreOptions.__annotations__.keys())
    if unknown:
        known = ", ".join(ScoreOptions.__annotations__)
        raise TypeError(f"there is no option {unknown[0]!r}; there are {known}")
    as_of = options.get("as_of")
    return scoring_pb2.ScoreRequest(
        session_id=session_id,
        user_id=options.get("user_id", ""),
        anonymous_id=options.get("anonymous_id", ""),
        events=events,
        as_of=None if as_of is None else to_timestamp(as_of),
        explain=options.get("explain", False),
        include_features=options.get("include_features", False),
        dry_run=options.get("dry_run", False),
        consent=options.get("consent"),
    )
