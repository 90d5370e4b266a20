"""Replay of parts: the same decision rows, however the work is split."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.hashing import hash_id, hash_strings
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.vocabulary import EventType
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.state import new_state
from micromoment.features.tables import N_FOLDS
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserLookup, UserStatus
from tests.support.events import (
    DAY,
    MINUTE,
    PLAIN_SHOP,
    START_US,
    AnEvent,
    an_event,
    to_batch,
    to_table,
)
from tests.support.folding import fold, part_of, random_tables, transition_tables, vector
from tests.support.visits import made_up_visits, write_days
from training.event_files import EventDays, event_days
from training.replay import partition
from training.replay.decisions import DECISION_COLUMNS
from training.replay.partition import PART_SCHEMA, partition_events
from training.replay.run import (
    ReplaySettings,
    UserRows,
    replay_moments,
    replay_parts,
    take_up_table,
)
from training.replay.sessions import group_by_session

EVENTS = made_up_visits(150, days=2)
SETTINGS = ReplaySettings(PLAIN_SHOP)
TABLES = random_tables(1 + N_FOLDS)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> EventDays:
    """Day files of made-up visits."""
    return event_days(write_days(tmp_path_factory.mktemp("events"), EVENTS))


def users_by_id(take_ups: pa.Table) -> UserRows:
    """Answer every visitor with a row that follows from id and time alone."""
    keys = hash_strings(take_ups["visitor_id"])
    rows = np.zeros(len(take_ups), USER_SNAPSHOT)
    rows["sessions"] = keys % np.uint64(20)
    rows["first_seen"] = take_ups["take_up_time"].cast(pa.int64()).to_numpy() - DAY
    status = np.where(keys % np.uint64(3) > 0, UserStatus.FOUND, UserStatus.UNAVAILABLE)
    rows[status != UserStatus.FOUND] = 0
    return rows, status.astype(np.uint8)


def decision_rows(outputs: Sequence[Path]) -> pa.Table:
    """Read decision rows in the order of their ids."""
    table = pa.concat_tables([pq.read_table(path) for path in outputs])
    return table.sort_by("decision_id").combine_chunks()


def bits(table: pa.Table) -> dict[str, object]:
    """Give all of a table's values, numbers to the last bit."""
    return {
        name: table[name].to_numpy().tobytes() if name in FEATURE_NAMES else table[name].to_pylist()
        for name in table.column_names
    }


def replay_days(
    days: EventDays,
    folder: Path,
    settings: ReplaySettings = SETTINGS,
    *,
    only_eligible: bool = False,
    cross_fit: bool = False,
) -> pa.Table:
    """Partition and replay; gives the decision rows."""
    parts = partition_events(days, folder / "parts")
    report = replay_parts(
        parts,
        folder / "out",
        settings,
        users_by_id,
        TABLES,
        only_eligible=only_eligible,
        cross_fit=cross_fit,
    )
    assert report.events == sum(pq.read_metadata(part).num_rows for part in parts)
    rows = decision_rows(report.outputs)
    assert report.decisions == len(rows)
    return rows


@pytest.mark.parametrize(
    ("rows_per_part", "workers", "cross_fit"),
    [(200, 1, False), (60, 1, True), (200, 2, True)],
)
def test_parts_and_workers_change_no_bit(
    days: EventDays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows_per_part: int,
    workers: int,
    cross_fit: bool,
) -> None:
    """One part in this process or many in several give the same rows, bit by bit."""
    whole = replay_days(days, tmp_path / "whole", cross_fit=cross_fit)
    monkeypatch.setattr(partition, "ROWS_PER_PART", rows_per_part)
    settings = ReplaySettings(PLAIN_SHOP, workers=workers)
    split = replay_days(days, tmp_path / "split", settings, cross_fit=cross_fit)
    assert len(list((tmp_path / "split" / "out").glob("*.parquet"))) > 1
    assert bits(split) == bits(whole)


def test_each_event_has_its_row(days: EventDays, tmp_path: Path) -> None:
    """There is one row per event, with the columns that everything after relies on."""
    rows = replay_days(days, tmp_path)
    assert rows.column_names == [*DECISION_COLUMNS, *FEATURE_NAMES]
    assert sorted(rows["event_id"].to_pylist()) == sorted(event.event_id for event in EVENTS)
    assert len(set(rows["decision_id"].to_pylist())) == len(EVENTS)


def test_rows_carry_what_serving_would_say(days: EventDays, tmp_path: Path) -> None:
    """Each row has the vector that a server has at the end of its batch, user included."""
    rows = replay_days(days, tmp_path)
    place_of = {event_id: n for n, event_id in enumerate(rows["event_id"].to_pylist())}
    columns = np.stack([rows[name].to_numpy() for name in FEATURE_NAMES], axis=1)
    by_session: dict[str, list[AnEvent]] = {}
    for event in EVENTS:
        by_session.setdefault(event.session_id, []).append(event)
    checked = 0
    for visit in by_session.values():
        states = new_state()
        batch = to_batch(visit)
        for place, event in enumerate(visit):
            fold(part_of(batch, place, place + 1), states, _lookup_of(event))
            if place + 1 < len(visit) and visit[place + 1].event_time == event.event_time:
                continue
            expected = vector(states, TABLES).view(np.float32)
            row = place_of[event.event_id]
            assert columns[row].tobytes() == expected.tobytes()
            assert rows["batch_last"][row].as_py()
            assert rows["events_seen"][row].as_py() == states[0]["events_seen"]
            checked += 1
    assert checked == sum(rows["batch_last"].to_pylist()) > 300


def _lookup_of(event: AnEvent) -> UserLookup:
    visitor = event.user_id or event.anonymous_id
    time = np.array([event.event_time]).astype("M8[us]")
    rows, status = users_by_id(pa.table({"visitor_id": [visitor], "take_up_time": time}))
    return UserLookup(UserStatus(int(status[0])), rows)


def test_what_models_learn_from(days: EventDays, tmp_path: Path) -> None:
    """Of all rows those at a batch's end, before the order and its confirmation page."""
    rows = replay_days(days, tmp_path / "all")
    learnt = replay_days(days, tmp_path / "learnt", only_eligible=True)
    keep = [
        last and not converted and not after
        for last, converted, after in zip(
            *(rows[name].to_pylist() for name in ("batch_last", "converted", "after_order")),
            strict=True,
        )
    ]
    assert bits(learnt) == bits(rows.filter(pa.array(keep)))
    assert {True, False} == set(keep)
    buyers = {e.session_id for e in EVENTS if e.type is EventType.PURCHASE}
    assert set(learnt.filter(learnt["label"])["session_id"].to_pylist()) <= buyers


def test_rows_that_only_lead_up_are_left_out(days: EventDays, tmp_path: Path) -> None:
    """Unwanted days shape the state of visits over midnight and have no rows of their own."""
    whole = replay_days(days, tmp_path / "all")
    parts = partition_events(days, tmp_path / "parts", wanted_from=days.days[1])
    report = replay_parts(parts, tmp_path / "out", SETTINGS, users_by_id, TABLES)
    wanted = decision_rows(report.outputs)
    late = {e.event_id for e in EVENTS if e.event_time >= _midnight(days)}
    assert set(wanted["event_id"].to_pylist()) == late
    kept = whole.filter(pa.array([id_ in late for id_ in whole["event_id"].to_pylist()]))
    assert bits(wanted) == bits(kept)


def _midnight(days: EventDays) -> int:
    return (days.days[1].toordinal() - 719_163) * DAY


def test_cross_fitting_encodes_by_the_visitor_s_own_fold(tmp_path: Path, days: EventDays) -> None:
    """A session takes the table that was fitted without its visitors, and no other."""
    ratios = np.arange(1 + N_FOLDS, dtype=float)[:, None, None] + np.zeros((16, 16))
    tables = transition_tables(ratios)
    parts = partition_events(days, tmp_path / "parts")
    report = replay_parts(parts, tmp_path / "out", SETTINGS, users_by_id, tables, cross_fit=True)
    rows = decision_rows(report.outputs)
    first: dict[str, str] = {}
    for event in EVENTS:
        first.setdefault(event.session_id, event.user_id or event.anonymous_id)
    mean = dict(zip(rows["session_id"].to_pylist(), rows["transition_llr_mean"].to_pylist(),
                    strict=True))  # fmt: skip
    known = {session: value for session, value in mean.items() if not np.isnan(value)}
    for session, value in known.items():
        assert value == 1 + (hash_id(first[session]) >> 32) % N_FOLDS
    assert set(known.values()) == {1, 2, 3, 4, 5}


def test_where_users_are_taken_up(tmp_path: Path) -> None:
    """At a visit's start, after a gap, when the visitor becomes known, and nowhere else."""
    times = (0, 1, 2, 3, 60, 61)
    users = ("", "", "u1", "u1", "", "u2")
    visit = [
        an_event(event_id=f"e{n}", event_time=START_US + minute * MINUTE, user_id=user)
        for n, (minute, user) in enumerate(zip(times, users, strict=True))
    ]
    visit.append(visit[0])  # a duplicate takes nothing up
    table = to_table(visit).append_column("wanted", pa.array([True] * len(visit)))
    path = tmp_path / "part.parquet"
    pq.write_table(table.cast(PART_SCHEMA), path)
    found = take_up_table(path, SETTINGS)
    assert found["row"].to_pylist() == [0, 2, 4, 5]
    assert found["visitor_id"].to_pylist() == ["a1", "u1", "a1", "u2"]
    ids = IdEncoder([IdKey("k1", b"secret")])
    encoded = take_up_table(path, ReplaySettings(PLAIN_SHOP, ids=ids))
    assert encoded["visitor_id"][0].as_py() == ids.encode("a1")


def test_rows_to_keep_name_visits_by_pseudonyms(days: EventDays, tmp_path: Path) -> None:
    """Nothing else of them differs; others name visits as the events do."""
    ids = IdEncoder([IdKey("k1", b"secret")])
    settings = ReplaySettings(PLAIN_SHOP, ids=ids)
    parts = partition_events(days, tmp_path / "parts")
    named, kept = (
        pq.read_table(
            replay_parts(
                parts, tmp_path / str(to_keep), settings, users_by_id, TABLES, to_keep=to_keep
            ).outputs[0]
        )
        for to_keep in (False, True)
    )
    visits = named["session_id"].to_pylist()
    assert set(visits) == {one.session_id for one in EVENTS}
    assert kept["session_id"].to_pylist() == [ids.encode(one) for one in visits]
    points = (one.rpartition(":") for one in named["decision_id"].to_pylist())
    assert kept["decision_id"].to_pylist() == [
        f"{ids.encode(visit)}:{place}" for visit, _, place in points
    ]
    others = [name for name in kept.column_names if name not in {"session_id", "decision_id"}]
    assert bits(kept.select(others)) == bits(named.select(others))


def test_no_events_no_rows(tmp_path: Path) -> None:
    """An empty part is replayed to an empty file with all columns."""
    path = tmp_path / "part.parquet"
    pq.write_table(PART_SCHEMA.empty_table(), path)
    report = replay_parts([path], tmp_path / "out", SETTINGS, users_by_id, TABLES)
    assert (report.events, report.decisions) == (0, 0)
    assert pq.read_schema(report.outputs[0]).names == [*DECISION_COLUMNS, *FEATURE_NAMES]


def test_moments_without_features(tmp_path: Path) -> None:
    """What holds after each event needs neither users nor tables, and of no events is nothing."""
    grouped = group_by_session(to_table(EVENTS), PLAIN_SHOP)
    moments = replay_moments(grouped, SETTINGS)
    _, same = np.unique(grouped.session_of, return_counts=True)
    assert moments["events_seen"].max() <= same.max()
    assert moments["converted"].sum() > 0
    empty = group_by_session(to_table([]), PLAIN_SHOP)
    assert len(replay_moments(empty, SETTINGS)) == 0
