"""Transition tables: counted before the order, fitted without the rows that they encode."""

from collections.abc import Sequence
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.hashing import hash_id
from micromoment.events.vocabulary import EventGroup, EventType, PageType
from micromoment.features.tables import N_FOLDS
from tests.support.events import MINUTE, PLAIN_SHOP, START_US, AnEvent, an_event, to_table
from tests.support.visits import made_up_visits
from training.replay.partition import PART_SCHEMA
from training.replay.run import ReplaySettings
from training.tables.transitions import (
    PSEUDO_TRANSITIONS,
    count_transitions,
    fit_transitions,
)

SETTINGS = ReplaySettings(PLAIN_SHOP)
EVENTS = made_up_visits(120)


def write_part(path: Path, events: Sequence[AnEvent]) -> Path:
    """Write events as one part."""
    table = to_table(events).append_column("wanted", pa.array([True] * len(events)))
    pq.write_table(table.cast(PART_SCHEMA), path)
    return path


def fold_of(event: AnEvent) -> int:
    """Tell which part of the visitors an anonymous visitor belongs to."""
    return (hash_id(event.user_id or event.anonymous_id) >> 32) % N_FOLDS


def count(tmp_path: Path, events: Sequence[AnEvent]) -> np.ndarray:
    """Count the transitions of one part."""
    return count_transitions([write_part(tmp_path / "part.parquet", events)], SETTINGS)


def test_a_path_is_counted_up_to_the_order(tmp_path: Path) -> None:
    """Start, home, item, checkout of a buyer; what comes after the purchase counts for nobody."""
    steps = [
        (EventType.PAGE_VIEW, PageType.HOME),
        (EventType.ITEM_VIEW, PageType.ITEM),
        (EventType.CHECKOUT_START, PageType.CHECKOUT),
        (EventType.PURCHASE, PageType.CONFIRMATION),
        (EventType.PAGE_VIEW, PageType.HOME),
    ]
    visit = [
        an_event(event_id=f"e{n}", type=kind, page_type=page, event_time=START_US + n)
        for n, (kind, page) in enumerate(steps)
    ]
    counts = count(tmp_path, visit)
    buyers = counts[fold_of(visit[0]), 1]
    assert counts.sum() == 3
    for pair in ((EventGroup.OTHER, EventGroup.HOME), (EventGroup.HOME, EventGroup.ITEM),
                 (EventGroup.ITEM, EventGroup.CHECKOUT)):  # fmt: skip
        assert buyers[pair] == 1


def test_a_visit_that_a_gap_cut_is_counted_after_it(tmp_path: Path) -> None:
    """Of a session in two visits the one with the order counts, else the last."""
    first = an_event(type=EventType.SEARCH)
    second = an_event(event_id="e2", type=EventType.ITEM_VIEW, event_time=START_US + 60 * MINUTE)
    counts = count(tmp_path, [first, second])
    assert counts.sum() == counts[fold_of(first), 0, EventGroup.OTHER, EventGroup.ITEM] == 1


def test_parts_add_up(tmp_path: Path) -> None:
    """Counts don't depend on how sessions are spread over parts, nor on the workers."""
    whole = count(tmp_path, EVENTS)
    halves = [
        write_part(
            tmp_path / f"half{half}.parquet",
            [event for event in EVENTS if int(event.session_id[1:]) % 2 == half],
        )
        for half in (0, 1)
    ]
    for workers in (1, 2):
        settings = ReplaySettings(PLAIN_SHOP, workers=workers)
        assert (count_transitions(halves, settings) == whole).all()
    assert whole[:, 1].sum() > 0
    assert whole[:, 0].sum() > 0


@pytest.mark.parametrize("fold", range(N_FOLDS))
def test_a_fold_s_table_never_sees_its_own_visitors(tmp_path: Path, fold: int) -> None:
    """Whatever the visitors of a part do, the table that encodes them stays the same."""
    first = {event.session_id: event for event in reversed(EVENTS)}
    own = {name for name, event in first.items() if fold_of(event) == fold}
    assert own
    # All of the part's visitors search, and buy in the end.
    last = {event.session_id: event for event in EVENTS}
    kinds = {True: EventType.PURCHASE, False: EventType.SEARCH}
    changed = [
        replace(event, type=kinds[event is last[event.session_id]])
        if event.session_id in own
        else event
        for event in EVENTS
    ]
    before = fit_transitions(count(tmp_path, EVENTS))
    after = fit_transitions(count(tmp_path, changed))
    assert after[1 + fold].tobytes() == before[1 + fold].tobytes()
    others = [place for place in range(1 + N_FOLDS) if place != 1 + fold]
    assert all((after[place] != before[place]).any() for place in others)


def test_ratios_by_hand() -> None:
    """With 8 transitions of buyers and 2 of others from home, the ratio is as written."""
    counts = np.zeros((N_FOLDS, 2, 16, 16), np.int64)
    home, item, search = EventGroup.HOME, EventGroup.ITEM, EventGroup.SEARCH
    counts[0, 1, home, item] = 6
    counts[0, 1, home, search] = 2
    counts[1, 0, home, item] = 2
    ratio = fit_transitions(counts)[0]
    m = PSEUDO_TRANSITIONS
    pooled = (8 + m / 16) / (10 + m)
    expected = log((6 + m * pooled) / (8 + m)) - log((2 + m * pooled) / (2 + m))
    assert ratio[home, item] == pytest.approx(expected)
    assert ratio[home, search] > ratio[home, item] > 0 > ratio[home, EventGroup.LIST]
    assert not ratio[item].any()


def test_without_counts_tables_say_nothing() -> None:
    """No buyers at all, or no transitions, give finite ratios and no warning."""
    empty = np.zeros((N_FOLDS, 2, 16, 16), np.int64)
    assert np.abs(fit_transitions(empty)).max() == 0
    empty[:, 0] = 100
    assert np.isfinite(fit_transitions(empty)).all()
