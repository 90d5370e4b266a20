"""From a log and the order service's events to live figures of the bundle that served last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from micromoment.errors import BundleError, NotEnoughDataError
from micromoment.scoring.manifest import Manifest, read_manifest
from micromoment.stores.bundles import find_bundle, is_pointer, tag_of
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.log_rows import LoggedVisit
from training.drift import Histogram, Shift, measure_shifts
from training.drift.psi import shift
from training.monitor.judge import ALARM_RATE, Judged, LiveRow, Points, live_rows, own_figures
from training.monitor.served import ServedScores, read_served
from training.publishing.bundle import read_histograms, read_metrics

_US_PER_SECOND: Final = 1_000_000
_DAY_US: Final = 86_400 * _US_PER_SECOND


@dataclass(frozen=True)
class MonitorRequest:
    """What to read and how to look at it.

    `bundle` is a tag or a pointer of the store, empty for the one that served last. Windows are
    `days` long and end at each day. `wait_hours` is how long after a visit's end its orders may
    still be told from outside it.
    """

    visits: Iterable[LoggedVisit]
    outside: Iterable[LoggedEvent]
    store: Path
    bundle: str = ""
    days: int = 7
    wait_hours: float = 24.0
    alarm_rate: float = ALARM_RATE


@dataclass(frozen=True)
class Window:
    """Settled scores of the days up to `last`, at some numbers of events seen."""

    last: date
    scores: int
    rows: tuple[LiveRow, ...]


@dataclass(frozen=True)
class LiveReport:
    """What is known of a bundle's live scores. The last of `windows` is the one that is judged.

    `scores` counts answers before an order as `settled`, `pending` or by the reason for which their
    sessions are left out; `orders` those of settled visits by how they ended.
    """

    tag: str
    days: int
    scores: dict[str, int]
    orders: dict[str, int]
    windows: tuple[Window, ...]
    shifts: tuple[Shift, ...] = ()
    score_shift: Shift | None = None
    vectors: int = 0
    others: dict[str, int] = field(default_factory=dict)

    @property
    def last(self) -> Window | None:
        """The window that is judged; None while nothing is settled."""
        return self.windows[-1] if self.windows else None

    @property
    def judged(self) -> list[tuple[int, Judged]]:
        """The figures that are judged, with their number of events seen."""
        rows = self.last.rows if self.last else ()
        return [(row.k, one) for row in rows for one in row.judged]

    @property
    def dropped(self) -> list[tuple[int, Judged]]:
        """Those that have dropped below the bundle's own."""
        return [(k, one) for k, one in self.judged if one.dropped]

    @property
    def degraded(self) -> bool:
        """Tell whether a figure has dropped below the bundle's own."""
        return bool(self.dropped)


def monitor(request: MonitorRequest) -> LiveReport:
    """Join scores with what came of them, and judge the last window.

    Raises `NotEnoughDataError` for a log without scores, `BundleError` for a bundle that is not in
    the store or has no conversion model.
    """
    served = read_served(request.visits, request.outside, vector_days=request.days + 1)
    if not served.bundles:
        raise NotEnoughDataError("the log holds no score of a visit before its order (log_scores)")
    # Of those that served, the one whose answer is the last.
    tag = request.bundle or served.bundles[int(served.last_bundle)]
    if is_pointer(tag):
        tag = tag_of(find_bundle(request.store, tag))
    if tag not in served.bundles:
        raise BundleError(tag, "no score in the log is of it")
    folder = find_bundle(request.store, tag)
    manifest = read_manifest(folder)
    return _report(request, served, tag, folder, manifest)


def _report(
    request: MonitorRequest, served: ServedScores, tag: str, folder: Path, manifest: Manifest
) -> LiveReport:
    scores = served.scores
    own = scores["bundle"] == served.bundles.index(tag)
    visits = [served.visits[place] for place in zip(*_places(scores), strict=True)]
    called = np.array([one.called_us + one.expiry_us for one in visits], np.int64)
    wait_us = round(request.wait_hours * 3_600 * _US_PER_SECOND)
    settled = called + wait_us <= served.last_us
    never = np.iinfo(np.int64).max
    ordered = np.array(
        [never if one.ordered_us is None else one.ordered_us for one in visits], np.int64
    )
    before_order = scores["moment"] <= ordered
    chosen = own & settled & before_order
    days = scores["received"] // _DAY_US
    points = Points(
        scores["events_seen"].astype(np.int64),
        _codes(zip(*_places(scores), strict=True)),
        _codes(one.visitor for one in visits),
        scores["conversion"],
        ordered < never,
    )
    figures = own_figures(read_metrics(folder))
    window_days = sorted(set(days[chosen].tolist()))
    windows = []
    for last in window_days:
        rows = chosen & (days > last - request.days) & (days <= last)
        live = live_rows(
            points.take(rows),
            figures,
            judge=last == window_days[-1],
            alarm_rate=request.alarm_rate,
        )
        windows.append(Window(_date(last), int(rows.sum()), live))
    counts = {"settled": int(chosen.sum()), "pending": int((own & ~settled & before_order).sum())}
    recent = own & (days > int(days.max(initial=0)) - request.days)
    shifts, score_shift, vectors = _shifts(
        served, tag, folder, manifest, request.days, scores["conversion"][recent]
    )
    bundles = Counter(served.bundles[number] for number in scores["bundle"].tolist())
    return LiveReport(
        tag=tag,
        days=request.days,
        scores=counts | dict(served.left_out),
        orders=_orders(served, chosen),
        windows=tuple(windows),
        shifts=shifts,
        score_shift=score_shift,
        vectors=vectors,
        others={name: count for name, count in bundles.items() if name != tag},
    )


def _shifts(
    served: ServedScores,
    tag: str,
    folder: Path,
    manifest: Manifest,
    days: int,
    conversions: np.ndarray,
) -> tuple[tuple[Shift, ...], Shift | None, int]:
    trained = read_histograms(folder)
    if trained is None:
        return (), None, 0
    number = served.bundles.index(tag)
    last = max((day for bundle, day in served.vectors if bundle == number), default=0)
    matrices = [
        found.matrix()
        for (bundle, day), found in served.vectors.items()
        if bundle == number and day > last - days
    ]
    shifts: tuple[Shift, ...] = ()
    vectors = np.concatenate(matrices) if matrices else np.zeros((0, 0), np.float32)
    if len(vectors):
        names = [feature.name for feature in manifest.features]
        shifts = measure_shifts(
            trained.features, {name: vectors[:, place] for place, name in enumerate(names)}
        )
    return shifts, _score_shift(trained.score, conversions), len(vectors)


def _score_shift(trained: Histogram, conversions: np.ndarray) -> Shift | None:
    if not trained.total or not len(conversions):
        return None
    return shift("score", trained, trained.recount(conversions))


def _orders(served: ServedScores, chosen: np.ndarray) -> dict[str, int]:
    settled = set(zip(*_places(served.scores[chosen]), strict=True))
    bought = [place for place in settled if served.visits[place].ordered_us is not None]
    by_visit = {place: order for order, place in served.in_visits.items()}
    ends = Counter(served.undone.get(by_visit.get(place, ""), "kept") for place in bought)
    return {name: ends[name] for name in ("kept", "cancelled", "refunded")}


def _places(scores: np.ndarray) -> tuple[list[int], list[int]]:
    return scores["session"].tolist(), scores["epoch"].tolist()


def _codes(values: Iterable[object]) -> np.ndarray:
    known: dict[object, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.int64)


def _date(day: int) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date()
