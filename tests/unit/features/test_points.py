"""Points of several sessions in one pass are those of each session by itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.record import EventBatch
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.packed_tables import pack_tables, unpack_tables
from micromoment.features.points import (
    ACCEPTED,
    AS_OF,
    END_EVENT,
    FIRST_EVENT,
    FIRST_ITEM,
    LAST_ACCEPTED,
    LOST,
    NOW,
    TOO_EARLY,
    USER_STATUS,
    PointFolder,
)
from micromoment.features.session import describe_session, fold_batch
from micromoment.features.state import new_state
from micromoment.features.tables import Tables, neutral_tables
from tests.support.events import MINUTE, AnEvent, AnItem, an_event, to_batch
from tests.support.folding import EXPIRY_US, NOBODY, SKEW_US, a_lookup, random_tables

TABLES = random_tables()
INDEX = np.array([5, 0, 17], np.intp)


def a_folder(size: int, tables: Tables = TABLES) -> PointFolder:
    """Make a folder for three features."""
    return PointFolder(size, tables, INDEX, expiry_us=EXPIRY_US, skew_us=SKEW_US)


def a_visit(number: int, events: int) -> list[AnEvent]:
    """Let a visitor look at products, one of them twice."""
    return [
        an_event(
            event_id=f"e{number}-{place % 3}",
            event_time=an_event().event_time + place * MINUTE * (number + 1),
            items=(AnItem(item_id=f"i{place}"),) * (place % 2 + 1),
        )
        for place in range(events)
    ]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_a_pass_over_many_equals_one_by_one(visits: list[int]) -> None:
    """States, features, and what is told of events, to the bit; nobody sees another's events."""
    folder = a_folder(len(visits))
    batches = [to_batch(a_visit(number, events)) for number, events in enumerate(visits)]
    lookups = [a_lookup(sessions=number, first_seen=1) for number in range(len(visits))]
    first_event = first_item = 0
    for place, (batch, lookup) in enumerate(zip(batches, lookups, strict=True)):
        asked = folder.asked[place]
        asked[FIRST_EVENT], asked[END_EVENT] = first_event, first_event + len(batch)
        asked[FIRST_ITEM], asked[AS_OF], asked[USER_STATUS] = first_item, -1, lookup.status
        folder.user_rows[place] = lookup.row[0]
        first_event += len(batch)
        first_item += len(batch.items)
    together = EventBatch(
        np.concatenate([one.events for one in batches]),
        np.concatenate([one.items for one in batches]),
    )
    folder.run(len(visits), together.events, together.items)
    for place, (batch, lookup) in enumerate(zip(batches, lookups, strict=True)):
        alone = new_state()
        outcomes = fold_batch(alone, batch, lookup, EXPIRY_US, SKEW_US)
        now = int(alone[0]["last_time"])
        row = describe_session(alone, now, TABLES).view(np.float32)[INDEX]
        assert folder.states[place].tobytes() == alone[0].tobytes()
        assert folder.rows[place].tobytes() == row.tobytes()
        accepted = np.flatnonzero(outcomes)
        told = folder.told[place]
        assert (told[ACCEPTED], told[NOW]) == (len(accepted), now)
        assert told[LAST_ACCEPTED] == (accepted[-1] if len(accepted) else -1)


def test_a_later_time_and_one_too_early() -> None:
    """Features are of the time asked for; one before the last event is told."""
    folder = a_folder(2)
    batch = to_batch(a_visit(0, 2))
    last = int(batch.events["event_time"].max())
    folder.asked[:, END_EVENT] = 2
    folder.asked[:, AS_OF] = last + MINUTE, last - 1
    folder.asked[1, LOST] = 1
    folder.run(2, batch.events, batch.items)
    assert folder.told[:, TOO_EARLY].tolist() == [0, 1]
    assert folder.told[0, NOW] == last + MINUTE
    state = new_state()
    fold_batch(state, batch, NOBODY, EXPIRY_US, SKEW_US)
    later = describe_session(state, last + MINUTE, TABLES).view(np.float32)[INDEX]
    assert folder.rows[0].tobytes() == later.tobytes()
    assert folder.states["state_lost"].tolist() == [0, 1]


def test_packed_tables_are_the_tables() -> None:
    """Unpacked they have the same values and shapes, also with folds and without any keys."""
    for tables in (TABLES, random_tables(folds=3), neutral_tables(), neutral_tables(2)):
        again = unpack_tables(*pack_tables(tables))
        for name in Tables._fields:
            mine, theirs = getattr(again, name), getattr(tables, name)
            assert mine.dtype == theirs.dtype, name
            assert mine.shape == theirs.shape, name
            assert np.array_equal(mine, theirs), name
    assert len(FEATURE_NAMES) > INDEX.max()
