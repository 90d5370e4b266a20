"""From a bundle and days of events to an audience's members, or to sizes day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from micromoment.errors import InvalidSettingError, NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from training.audiences.members import Members, members_of, with_people
from training.audiences.people import read_people
from training.audiences.sizes import DaySize, day_sizes
from training.event_files import EventDays, event_days
from training.pipeline.portraits import segment_ids
from training.pipeline.score import score_days
from training.progress import Steps


@dataclass(frozen=True)
class AudienceRequest:
    """Which bundle judges which days: from `first_day` to `last_day` of `events`, both included.

    Earlier days of the folder are what users did before.
    """

    bundle: Path
    events: Path
    first_day: date
    last_day: date | None = None
    ids: IdEncoder | None = None
    workers: int = 2


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
    bundle = load_bundle(request.bundle)
    known = segment_ids(bundle)[1]
    if audience not in known:
        raise InvalidSettingError("audience", f"{audience}; {bundle.tag} has {_listed(known)}")
    days = _days(request)
    scored = _score(request, bundle, days, steps)
    with steps.step("List the members"):
        members = members_of(scored, audience, at_end=at_end)
        # Of all days: who denied after the period has denied.
        people = read_people(event_days(request.events), request.ids)
        return with_people(members, people, for_ads=for_ads)


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
        bundle, days, request.first_day, ids=request.ids, workers=request.workers, steps=steps
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
