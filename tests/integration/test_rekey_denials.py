"""Who said no is still known when the ids have come under another key."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.keyed import BEFORE, ROTATED, encoder
from tests.support.segment_calls import imported, track
from training.audiences.people import read_people
from training.event_files import event_days
from training.importers.denials import denials_renamed, read_denials, visitor_hash
from training.rekeying import RekeyRequest, rekey

NO = {"consent": {"categoryPreferences": {"Analytics": False}}}


def test_denials_outlive_rekeying(tmp_path: Path) -> None:
    """From plain ids to the first key and on to the next; strangers' denials stay."""
    calls = [
        track("Cart Viewed", 0, anonymousId="person-1"),
        track("Cart Viewed", 1, anonymousId="person-1", context=NO),
        track("Cart Viewed", 2, anonymousId="person-2"),
        track("Cart Viewed", 3, anonymousId="browser-3", userId="customer-3"),
        track("Cart Viewed", 4, anonymousId="browser-3", userId="customer-3", context=NO),
        track("Cart Viewed", 5, anonymousId="stranger", context=NO),
    ]
    imported(tmp_path, calls)
    events = tmp_path / "events"
    times = read_denials(events)
    for keys in (BEFORE, ROTATED):
        ids = encoder(keys)
        rekey(RekeyRequest(ids, events=(events,)))
        people = read_people(event_days(events))
        assert people["denied_analytics"].to_dict() == {
            ids.encode("person-1"): True,
            ids.encode("person-2"): False,
            ids.encode("customer-3"): True,
        }
        assert read_denials(events) == {
            visitor_hash(ids.encode("person-1")): times[visitor_hash("person-1")],
            visitor_hash(ids.encode("customer-3")): times[visitor_hash("customer-3")],
            visitor_hash("stranger"): times[visitor_hash("stranger")],
        }
        assert rekey(RekeyRequest(ids, events=(events,)))[0].rewritten == 0


def test_denials_of_an_interrupted_rekeying_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off when the denials are written and a day is not, the second run keeps them."""
    calls = [
        track("Cart Viewed", 0, anonymousId="person-1"),
        track("Cart Viewed", 1, anonymousId="person-1", context=NO),
    ]
    imported(tmp_path, calls)
    events = tmp_path / "events"

    def broken(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("training.rekeying.event_files._rekey_day", broken)
        with pytest.raises(KeyboardInterrupt):
            rekey(RekeyRequest(encoder(BEFORE), events=(events,)))
    rekey(RekeyRequest(encoder(BEFORE), events=(events,)))
    people = read_people(event_days(events))
    assert people["denied_analytics"].to_dict() == {encoder(BEFORE).encode("person-1"): True}


def test_the_last_time_counts_where_two_become_one(tmp_path: Path) -> None:
    """A visitor of whom the file has two names has one afterwards."""
    calls = [
        track("Cart Viewed", place, anonymousId=f"person-{place}", context=NO) for place in range(2)
    ]
    imported(tmp_path, calls)
    (path,) = (tmp_path / "events").rglob("denials/*.parquet")
    table = pq.read_table(path)
    both = denials_renamed(table, {visitor_hash(f"person-{place}"): "one" for place in range(2)})
    assert both.schema.equals(table.schema)
    assert both.to_pylist() == [
        {"visitor": "one", "denied_us": max(table["denied_us"].to_pylist())}
    ]
