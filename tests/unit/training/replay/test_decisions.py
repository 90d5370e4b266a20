"""Decision rows: which day they belong to and what they share."""

from datetime import date

import pyarrow as pa

from micromoment.events.shop import Shop
from micromoment.events.vocabulary import EventType
from micromoment.features.catalogue import FEATURE_NAMES
from tests.support.events import MINUTE, SECOND, START_US, AnEvent, an_event, to_table
from tests.support.folding import replay
from training.replay.decisions import decision_table
from training.replay.labels import label_batches
from training.replay.sessions import group_by_session

MIDNIGHT_US = START_US + 14 * 60 * MINUTE  # UTC
BERLIN = Shop("EUR", "Europe/Berlin")


def rows_of(events: list[AnEvent], shop: Shop) -> pa.Table:
    """Replay events of one shop to decision rows."""
    table = to_table(events).append_column("wanted", pa.array([True] * len(events)))
    grouped = group_by_session(table, shop)
    moments, features = replay(grouped.batch, grouped.session_of.tolist())
    labels = label_batches(grouped, moments)
    return decision_table(grouped, moments, features, labels, shop, None)


def test_a_day_is_the_shop_s() -> None:
    """Half past eleven at night UTC is the next day in Berlin, and the same one in New York."""
    late = an_event(event_time=MIDNIGHT_US - 30 * MINUTE, utc_offset_minutes=-600)
    for zone, day in (("UTC", 1), ("Europe/Berlin", 2), ("America/New_York", 1)):
        assert rows_of([late], Shop("", zone))["day"].to_pylist() == [date(2024, 5, day)]


def test_rows_of_a_batch_share_its_end() -> None:
    """Values and vector are those at the batch's end; event and place are the row's own."""
    batch = [
        an_event(event_id="e1", sequence=4),
        an_event(event_id="e2", sequence=6, type=EventType.CART_ADD),
    ]
    later = an_event(event_id="e3", sequence=7, event_time=START_US + SECOND)
    rows = rows_of([*batch, later], BERLIN).to_pydict()
    assert rows["decision_id"] == ["s1:4", "s1:6", "s1:7"]
    assert rows["event_id"] == ["e1", "e2", "e3"]
    assert rows["events_seen"] == [2, 2, 3]
    assert rows["cart_filled"] == [True, True, True]
    assert rows["journey_stage"] == ["decide", "decide", "learn"]
    assert rows["batch_last"] == [False, True, True]
    for name in FEATURE_NAMES:
        assert repr(rows[name][0]) == repr(rows[name][1]), name
    assert rows["n_cart_adds"] == [1, 1, 1]


def test_feature_time_is_not_event_time() -> None:
    """A row keeps its event's own time, and the feature time of its decision point."""
    ahead = an_event(event_time=START_US + 60 * MINUTE, received_time=START_US)
    rows = rows_of([ahead], BERLIN)
    assert rows["event_time"].cast(pa.int64()).to_pylist() == [START_US + 60 * MINUTE]
    assert rows["feature_time"].cast(pa.int64()).to_pylist() == [START_US + 5 * MINUTE]
