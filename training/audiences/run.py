"""From a bundle and days of events to an audience's members, or to sizes day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.errors import InvalidSettingError, NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from training.audiences.members import Members, members_of, with_people
from training.audiences.people import read_people
from training.audiences.sizes import DaySize, day_sizes
from training.event_files import EventDays, event_days
from training.original_ids import OriginalIds, originals_for, renamed
from training.pipeline.portraits import segment_ids
from training.pipeline.score import score_days
from training.progress import Steps

_PEOPLE: Final = ("visitor_id", "user_id", "anonymous_id")


@dataclass(frozen=True)
class AudienceRequest:
    """Which bundle judges which days: from `first_day` to `last_day` of `events`, both included.

    Earlier days of the folder are what users did before. With keys in `ids` people are named by
    pseudonyms, unless `original_ids` or `known_ids` says otherwise, as a `ScoreRequest` does.
    """

    bundle: Path
    events: Path
    first_day: date
    last_day: date | None = None
    ids: IdEncoder | None = None
    workers: int = 2
    original_ids: bool = False
    known_ids: Path | None = None


def export_members(
    request: AudienceRequest,
    audience: str,
    *,
    at_end: bool = False,
    for_ads: bool = False,
    steps: Steps | None = None,
) -> Members:
    """List an audience's members as `members_of` does, without those who may not be exported.

    Raises `InvalidSettingError` for an audience that the bundle lacks, `NotEnoughDataError` when
    the period holds no events.
    """
    steps = steps or Steps()
    originals = originals_for(request.ids, wanted=request.original_ids, known=request.known_ids)
    bundle = load_bundle(request.bundle)
    known = segment_ids(bundle)[1]
    if audience not in known:
        raise InvalidSettingError("audience", f"{audience}; {bundle.tag} has {_listed(known)}")
    days = _days(request)
    scored = _score(request, bundle, days, steps)
    with steps.step("List the members"):
        members = members_of(scored, audience, at_end=at_end)
        # Of all days: who denied after the period has denied.
        every = event_days(request.events)
        people = read_people(every, every.encoder(request.ids))
        found = with_people(members, people, for_ads=for_ads)
        return replace(found, frame=_named(found.frame, every, request.ids, originals))


def measure_sizes(request: AudienceRequest, steps: Steps | None = None) -> list[DaySize]:
    """Measure the bundle's clusters and audiences on each day of the period.

    Raises `NotEnoughDataError` when the period holds no events.
    """
    steps = steps or Steps()
    bundle = load_bundle(request.bundle)
    scored = _score(request, bundle, _days(request), steps)
    clusters, audiences = segment_ids(bundle)
    with steps.step("Measure sizes by day"):
        return day_sizes(scored, bundle.shop, clusters, audiences)


def segment_names(bundle: LoadedBundle) -> dict[str, str]:
    """Give the names of a bundle's clusters and audiences by id."""
    names: dict[str, str] = {}
    if bundle.clusters is not None:
        names |= {one.id: one.name for one in bundle.clusters.file.clusters}
    if bundle.audiences is not None:
        names |= {one.id: one.name for one in bundle.audiences.file.audiences}
    return names


def _days(request: AudienceRequest) -> EventDays:
    days = event_days(request.events).between(last=request.last_day)
    if not days.between(first=request.first_day).files:
        until = f" to {request.last_day}" if request.last_day else " on"
        raise NotEnoughDataError(
            f"{request.events} holds no events from {request.first_day}{until}"
        )
    return days


def _score(
    request: AudienceRequest, bundle: LoadedBundle, days: EventDays, steps: Steps
) -> pa.Table:
    return score_days(
        bundle,
        days,
        request.first_day,
        ids=days.encoder(request.ids),
        workers=request.workers,
        steps=steps,
    )


def _named(
    frame: pd.DataFrame, days: EventDays, ids: IdEncoder | None, originals: OriginalIds | None
) -> pd.DataFrame:
    """Name people as they may be named: all three ids are pseudonyms, or all are original ones."""
    table = pa.table({name: pa.array(frame[name], pa.string()) for name in _PEOPLE})
    named = renamed(table, _PEOPLE[1:], days, ids, originals)
    if originals is not None:
        # A visitor is the user, else the browser; theirs is encoded in any case.
        visitor = pc.coalesce(named["user_id"], named["anonymous_id"])
        named = named.set_column(0, _PEOPLE[0], visitor)
    return frame.assign(**{name: named[name].to_pandas().to_numpy() for name in _PEOPLE})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
