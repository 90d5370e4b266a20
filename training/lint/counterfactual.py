"""Features that change when something changes that they must not know: exact, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from micromoment.features.catalogue import FEATURE_NAMES, family_of
from micromoment.features.tables import N_FOLDS
from training.churn.rows import CustomerHistory, describe_at
from training.event_files import EventDays
from training.lint.report import Finding, LintReport, Severity
from training.lint.worlds import (
    PipelineParts,
    World,
    codes,
    run_world,
    sample_events,
    times_us,
    visitor_codes,
)
from training.replay.run import session_folds
from training.replay.sessions import group_by_session, visitor_ids
from training.snapshots.cuts import cut_at
from training.tables.products import shop_days

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_EPOCH: Final = date(1970, 1, 1).toordinal()
_USER_FAMILIES: Final = frozenset({"user", "customer"})
_NAMED: Final = 6
_MIN_VICTIMS: Final = 5


def lint_pipeline(days: EventDays, parts: PipelineParts) -> LintReport:
    """Run the sample's worlds and compare them; about 20 s of CPU whatever the shop's size."""
    events = sample_events(days)
    figures = {"events_sampled": len(events)}
    checked = ["future-events", "user-totals", "customer-snapshots"]
    skipped: dict[str, str] = {}
    with TemporaryDirectory() as temporary:
        base = run_world(events, Path(temporary) / "base", parts)
        until = cut_times(events)
        kept = events.filter(pa.array(times_us(events) <= until))
        cut = run_world(kept, Path(temporary) / "cut", parts, base.tables)
        found = _future_findings(base, cut)
        found += _customer_findings(base, cut, until, parts)
        victims = choose_victims(base)
        if victims is None:
            skipped["changed-outcomes"] = f"fewer than {_MIN_VICTIMS} orders of one fold"
        else:
            checked.append("changed-outcomes")
            changed = events.filter(pa.array(~victims.removed))
            other = run_world(changed, Path(temporary) / "changed", parts)
            found += _outcome_findings(base, other, victims)
            figures["orders_taken_back"] = victims.orders
    figures["rows_compared"] = len(base.rows)
    return LintReport("pipeline", tuple(checked), tuple(found), skipped, {"pipeline": figures})


def cut_times(events: pa.Table) -> IntArray:
    """Give for each event the time after which its visitor does nothing more, (n,).

    People whose sessions are linked share one, that of any event of theirs; who orders stops before
    the order half of the time. Nobody is cut whose session is out of order in time.
    """
    visitor, session, time = visitor_codes(events), codes(events["session_id"]), times_us(events)
    person = _people(visitor, session)
    random = np.random.default_rng(3)
    mixed = random.permutation(len(events))
    until = np.full(int(person.max(initial=0)) + 1, np.iinfo(np.int64).max)
    until[person[mixed]] = time[mixed]
    bought = np.flatnonzero(pc.equal(events["type"], "purchase").to_numpy(zero_copy_only=False))
    first_order = np.full(len(until), np.iinfo(np.int64).max)
    np.minimum.at(first_order, person[bought], time[bought])
    before = np.flatnonzero(time < first_order[person])
    last_before = np.full(len(until), -1)
    np.maximum.at(last_before, person[before], time[before])
    stops = (first_order < np.iinfo(np.int64).max) & (last_before >= 0)
    stops &= random.random(len(until)) < 0.5
    until[stops] = last_before[stops]
    until[person[_out_of_order(session, time)]] = np.iinfo(np.int64).max
    return until[person]


def _people(visitor: IntArray, session: IntArray) -> IntArray:
    """Number the components of visitors that sessions link, (n,)."""
    n_visitors, n_sessions = int(visitor.max(initial=0)) + 1, int(session.max(initial=0)) + 1
    size = n_visitors + n_sessions
    links = sparse.coo_array((np.ones(len(visitor)), (visitor, n_visitors + session)), (size, size))
    component: IntArray = sparse.csgraph.connected_components(links.tocsr(), directed=False)[1]
    return component[visitor].astype(np.int64)


def _out_of_order(session: IntArray, time: IntArray) -> IntArray:
    order = np.argsort(session, kind="stable")
    back = (np.diff(session[order]) == 0) & (np.diff(time[order]) < 0)
    rows: IntArray = order[1:][back]
    return rows


class Victims:
    """Sessions of one fold whose orders, from one day on, are taken back."""

    def __init__(self, removed: BoolArray, sessions: pa.Array, day: int, orders: int) -> None:
        self.removed = removed  # (n,) events
        self.sessions = sessions  # all sessions of the fold
        self.day = day  # days since 1970
        self.orders = orders


def choose_victims(base: World) -> Victims | None:
    """Choose a fold and a day; None where too few orders can be taken back without a trace.

    Taken back is the order with all that follows in its session. That leaves every other number as
    it was only where nothing else happens in the order's batch, and where no further visit begins
    in the session.
    """
    events, settings = base.events, base.settings
    grouped = group_by_session(events, settings.shop, settings.ids)
    session, time = grouped.session_of, times_us(events)
    purchase = pc.equal(events["type"], "purchase").to_numpy(zero_copy_only=False)
    quiet = purchase | pc.fill_null(pc.equal(events["page_type"], "confirmation"), False).to_numpy(
        zero_copy_only=False
    )
    n = grouped.n_sessions
    ordered = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(ordered, session[purchase], time[purchase])
    after = time >= ordered[session]
    in_batch = time == ordered[session]
    good = ordered < np.iinfo(np.int64).max
    good[session[in_batch & ~quiet]] = False
    good[session[_out_of_order(session, time)]] = False
    last = np.zeros(n, np.int64)
    np.maximum.at(last, session, time)
    good &= last - np.where(good, ordered, 0) < settings.expiry_us
    good[session[_shared(visitor_codes(events), session)]] = False
    day = np.full(n, np.iinfo(np.int64).max)  # of the first order
    # By the shop's clock, whatever days the files go by.
    np.minimum.at(day, session[purchase], shop_days(time, settings.shop)[purchase])
    fold = session_folds(grouped)
    picked = _fold_and_day(fold[good], day[good])
    if picked is None:
        return None
    chosen_fold, chosen_day = picked
    struck = good & (fold == chosen_fold) & (day >= chosen_day)
    names = events["session_id"].take(grouped.order[grouped.starts[:-1]][fold == chosen_fold])
    return Victims(after & struck[session], names, chosen_day, int(struck.sum()))


def _shared(visitor: IntArray, session: IntArray) -> IntArray:
    """Give the events of visitors whose sessions hold another visitor too."""
    person = _people(visitor, session)
    pairs = np.unique(np.stack([person, visitor], axis=1), axis=0)[:, 0]
    several = np.flatnonzero(np.bincount(pairs) > 1)
    rows: IntArray = np.flatnonzero(np.isin(person, several))
    return rows


def _fold_and_day(fold: IntArray, day: IntArray) -> tuple[int, int] | None:
    """Choose the fold and the day, of the later half, with most orders from then on."""
    if not len(day):
        return None
    best, most = None, _MIN_VICTIMS - 1
    for one in np.unique(day[day >= np.median(day)]).tolist():
        on_it = np.bincount(fold[day == one], minlength=N_FOLDS) > 0
        counts = np.bincount(fold[day >= one], minlength=N_FOLDS) * on_it
        if counts.max() > most:
            best, most = (int(counts.argmax()), int(one)), int(counts.max())
    return best


def _future_findings(base: World, cut: World) -> list[Finding]:
    changed, n = _changes(base.rows, cut.rows)
    by_check: dict[str, dict[str, int]] = {"future-events": {}, "user-totals": {}}
    for name, count in changed.items():
        of_users = family_of(name) in _USER_FAMILIES
        by_check["user-totals" if of_users else "future-events"][name] = count
    what = "change when later events of the visitor never happen"
    return [one for check, names in by_check.items() for one in _findings(check, names, n, what)]


def _outcome_findings(base: World, other: World, victims: Victims) -> list[Finding]:
    rows = base.rows
    asked = pc.is_in(rows["session_id"], victims.sessions)
    early = pc.less_equal(pc.cast(rows["day"], pa.int32()), victims.day)
    changed, n = _changes(rows.filter(pc.and_(asked, early)), other.rows)
    what = f"change when {victims.orders} orders of those visitors are taken back"
    return _findings("changed-outcomes", changed, n, what)


def _changes(base: pa.Table, other: pa.Table) -> tuple[dict[str, int], int]:
    """Compare the rows that both hold; gives how many differ by feature, and the rows compared."""
    place = pc.index_in(base["decision_id"], other["decision_id"].combine_chunks())
    both = place.is_valid()
    ours, theirs = base.filter(both), other.take(place.drop_null())
    changed = {}
    for name in FEATURE_NAMES:
        bits = [table[name].to_numpy().view(np.uint32) for table in (ours, theirs)]
        if differ := int((bits[0] != bits[1]).sum()):
            changed[name] = differ
    return changed, len(ours)


def _findings(check: str, changed: dict[str, int], n: int, what: str) -> list[Finding]:
    named = sorted(changed.items(), key=lambda pair: -pair[1])
    found = []
    for name, count in named[:_NAMED]:
        evidence = f"{count:,} of {n:,} decision points {what}"
        if len(named) > _NAMED:
            evidence += f"; {len(named)} features do"
        numbers = {"rows": count, "compared": n, "features": len(named)}
        found.append(Finding(check, Severity.ERROR, name, evidence, numbers))
    return found


def _customer_findings(
    base: World, cut: World, until: IntArray, parts: PipelineParts
) -> list[Finding]:
    numbers = np.unique(base.events["day"].to_numpy())
    day = date.fromordinal(int(numbers[len(numbers) // 2]) + _EPOCH)
    time_us = cut_at(day, parts.settings.shop).time_us
    whole = (until >= time_us) & (times_us(base.events) < time_us)
    visitors = _present(base, cut, whole, time_us)
    if not len(visitors):
        return []
    ours, theirs = (
        describe_at(
            CustomerHistory(world.workspace, parts.settings.shop, parts.publish_lag, base.tables),
            visitors,
            time_us,
        )
        for world in (base, cut)
    )
    differ = (ours.features.view(np.uint32) != theirs.features.view(np.uint32)).sum(axis=0)
    changed = {
        name: int(count) for name, count in zip(ours.feature_names, differ, strict=True) if count
    }
    what = f"change at the cut of {day} when later events of the visitor never happen"
    return _findings("customer-snapshots", changed, len(visitors), what)


def _present(base: World, cut: World, whole: BoolArray, time_us: int) -> pa.Array:
    """Give visitors with a snapshot at the cut in both worlds, in order."""
    asked = visitor_ids(base.events, base.settings.ids).filter(pa.array(whole)).drop_null().unique()
    for world in (base, cut):
        asked = asked.filter(pc.is_in(asked, _snapshots(world, time_us)))
    return asked


def _snapshots(world: World, time_us: int) -> pa.Array:
    names: Sequence[pa.ChunkedArray] = [
        table.filter(pc.less_equal(table["snapshot_time"], time_us))["visitor_id"]
        for path in sorted(world.workspace.snapshots.glob("*.parquet"))
        if len(table := pq.read_table(path, columns=["visitor_id", "snapshot_time"]))
    ]
    return pa.concat_arrays([chunk for column in names for chunk in column.chunks]).unique()
