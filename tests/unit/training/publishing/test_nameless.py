"""No id of a person is in a bundle, and its golden answers stay what they were."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.golden import (
    EVENTS_FILE,
    EXPECTED_FILE,
    USERS_FILE,
    check_golden,
    score_golden,
)
from tests.support.bundles import bundle_parts
from training.publishing.bundle import write_bundle
from training.publishing.nameless import nameless

IDS = ("session_id", "event_id", "anonymous_id", "user_id", "order_id")


def with_everything(events: pa.Table) -> pa.Table:
    """Give events an attribute each, and every third one's visitor a customer's id."""
    rows = pa.array(range(len(events)))
    customer = pc.if_else(
        pc.equal(pc.bit_wise_and(rows, 3), 0), events["anonymous_id"].combine_chunks(), None
    )
    customer = pc.binary_join_element_wise("customer of ", customer, "")
    attributes = pa.array(
        [[("phone", "0123-555")]] * len(events), pa.map_(pa.string(), pa.string())
    )
    ids = {
        name: pc.binary_join_element_wise("their own", events[name].combine_chunks(), " ")
        for name in ("event_id", "anonymous_id", "order_id")
    }
    for name, column in {"user_id": customer, "attributes": attributes, **ids}.items():
        place = events.schema.get_field_index(name)
        events = events.set_column(place, events.schema.field(name), column)
    return events


def test_a_bundle_holds_no_id_and_gives_the_same_answers(tmp_path: Path) -> None:
    """Each file, as it lies there and as its columns read, is searched for every id."""
    events, users = with_everything(bundle_parts().golden_events), bundle_parts().golden_users
    write_bundle(tmp_path / "b", bundle_parts(golden_events=events))
    bundle = load_bundle(tmp_path / "b")
    assert check_golden(bundle).inexact == 0
    held = [path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()]
    for name in (EVENTS_FILE, USERS_FILE, EXPECTED_FILE):
        table = pq.read_table(bundle.path / name)
        held.append(str(table.to_pydict()).encode())
        assert not set(table["session_id"].to_pylist()) & set(events["session_id"].to_pylist())
    ids = {one for name in IDS[1:] for one in events[name].to_pylist() if one}
    assert len(ids) > 20
    assert not [one for one in (*ids, "0123-555") if any(one.encode() in part for part in held)]
    before = score_golden(bundle, events, users)
    after = pq.read_table(bundle.path / EXPECTED_FILE)
    values = before.column_names[2:]
    bits = [[table[name].to_numpy().tobytes() for name in values] for table in (before, after)]
    assert bits[0] == bits[1]


def test_equal_ids_stay_equal() -> None:
    """Who is one person in two columns, or one order in two events, is so afterwards."""
    events, users = nameless(
        with_everything(bundle_parts().golden_events), bundle_parts().golden_users
    )
    original = with_everything(bundle_parts().golden_events)
    for name in IDS:
        pairs = set(zip(original[name].to_pylist(), events[name].to_pylist(), strict=True))
        assert len(pairs) == len({one for one, _ in pairs}) == len({one for _, one in pairs})
    assert set(users["session_id"].to_pylist()) == set(events["session_id"].to_pylist())


def test_doing_it_again_changes_nothing() -> None:
    """A bundle that is calibrated anew keeps its golden sessions to the byte."""
    once = nameless(bundle_parts().golden_events, bundle_parts().golden_users)
    again = nameless(*once)
    assert once[0].equals(again[0], check_metadata=True)
    assert once[1].equals(again[1])
