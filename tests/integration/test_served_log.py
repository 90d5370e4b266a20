"""What a server has logged is folded again offline, to the last bit: imported, and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from micromoment.cli_log import register as register_log
from micromoment.events.shop import Shop
from micromoment.features import reducer
from micromoment.features.replay import find_take_ups
from micromoment.features.state import STATE
from micromoment.features.user_snapshot import UserLookup, UserStatus
from micromoment.recovery import recover_sessions
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.bundles import find_bundle
from micromoment.stores.log_rows import LoggedVisit, RowKind, score_call
from micromoment.stores.log_segments import segments
from micromoment.stores.sessions import MemorySessionStore
from micromoment.v1 import log_pb2 as pb
from tests.support.served_log import logged, make_served_log
from training.cli import register
from training.event_files import event_days
from training.importers.log import import_log, log_source
from training.importers.report import ImportReport
from training.parity import check_log
from training.replay.run import ReplaySettings, replay_grouped
from training.replay.sessions import GroupedEvents, group_by_session, visitor_ids


@dataclass(frozen=True)
class ServedLog:
    """A log, the store of the bundles that answered, and its import."""

    store: Path
    log: Path
    events: Path
    report: ImportReport


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedLog:
    """Visits over a swap of bundles and a restart, by every kind of call, and their import."""
    folder = tmp_path_factory.mktemp("served")
    store, log = make_served_log(folder)
    report = import_log(log_source(str(log)), folder / "events")
    return ServedLog(store, log, folder / "events", report)


@pytest.fixture(scope="module")
def imported(served: ServedLog) -> pa.Table:
    """All imported events of visits, in order of days."""
    table = pa.concat_tables(map(pq.read_table, event_days(served.events).files.values()))
    in_visits = {visit.session_id for visit in logged(served.log)}
    return table.filter(pa.array([one in in_visits for one in table["session_id"].to_pylist()]))


def test_every_logged_event_is_accounted_for(served: ServedLog, imported: pa.Table) -> None:
    """Rows read are the events of all calls; repeats are merged, and so is what a visit told."""
    calls = [visit.call() for visit in logged(served.log)]
    in_calls = sum(len(call.events) for call in calls)
    distinct = {
        (visit.session_id, event.event_id)
        for visit in logged(served.log)
        for event in visit.call().events
    }
    orders = {event.order_id for call in calls for event in call.events if event.order_id}
    report = served.report
    assert len(orders) > 5
    assert report.rows_read == in_calls + len(orders) + 2
    assert report.merged == {
        "duplicate_event": in_calls - len(distinct),
        "repeated_purchase": len(orders),
    }
    assert report.dropped == {}
    assert len(imported) == len(distinct)
    assert report.rows_kept == len(distinct) + 2
    assert report.sessions == len({visit.session_id for visit in logged(served.log)})


def test_imported_events_are_those_that_the_server_folded(
    served: ServedLog, imported: pa.Table
) -> None:
    """Session, order, visitor and time of arrival of each event are the logged ones."""
    expected: dict[str, list[tuple[object, ...]]] = {}
    for visit in logged(served.log):
        call = visit.call()
        for event in call.events:
            who = (visit.visitor_id, call.identified, visit.received_time_us)
            rows = expected.setdefault(visit.session_id, [])
            if event.event_id not in [row[0] for row in rows]:
                rows.append((event.event_id, *who))
    found: dict[str, list[tuple[object, ...]]] = {}
    times = imported["received_time"].cast(pa.int64()).to_pylist()
    visitors = visitor_ids(imported).to_pylist()
    known = imported["user_id"].is_valid().to_pylist()
    ids, sessions = imported["event_id"].to_pylist(), imported["session_id"].to_pylist()
    for session, *row in zip(sessions, ids, visitors, known, times, strict=True):
        found.setdefault(session, []).append(tuple(row))
    assert found == expected


def test_training_sees_what_was_served_to_the_last_bit(
    served: ServedLog, imported: pa.Table
) -> None:
    """Training's own replay of the import gives the feature vectors that the log holds."""
    vectors = {
        (visit.session_id, call.events[-1].event_id): call
        for visit in logged(served.log)
        if (call := visit.call()).score.features and call.events and not call.HasField("as_of_us")
    }
    shop = Shop("EUR", "Europe/Berlin")
    grouped = group_by_session(imported, shop)
    places = {key: row for row, key in enumerate(_keys(imported))}
    described = np.zeros(len(imported), np.bool_)
    described[[places[key] for key in vectors]] = True
    (tag,) = {call.bundle for call in vectors.values()} - {_later_tag(served)}
    bundle = load_bundle(find_bundle(served.store, tag))
    settings = ReplaySettings(shop)
    moments, features = replay_grouped(
        grouped,
        _users(served, grouped, settings, places),
        settings,
        bundle.tables,
        described,
        cross_fit=False,
    )
    offline = features.view(np.float32).reshape(len(features), -1)[:, bundle.feature_index]
    compared = 0
    for key, call in vectors.items():
        row = places[key]
        if call.score.events_seen == moments["events_seen"][row]:
            assert offline[row].tobytes() == call.score.features, key
            compared += 1
    # A call that only repeats earlier events answers for a later one.
    assert compared > 400
    assert compared > 0.9 * len(vectors)


def test_every_logged_score_is_made_again(served: ServedLog) -> None:
    """All answers over both bundles and the restart are equal, clusters and audiences included."""
    report = check_log(logged(served.log), served.store)
    assert report.mismatches == []
    assert report.equal
    assert report.compared == report.vectors > 400
    assert report.unscored > 20
    assert len(report.bundles) == 2
    churn = [visit.call().score.HasField("churn") for visit in logged(served.log)]
    assert 100 < sum(churn) < len(churn)
    clusters = {visit.call().score.cluster_id for visit in logged(served.log)}
    assert clusters == {"", "few", "many"}
    assert any(visit.call().score.audience_ids for visit in logged(served.log))


def test_one_changed_value_is_found(served: ServedLog) -> None:
    """With sabotage the check fails and names the row, the field and both values."""
    report = check_log(logged(served.log), served.store, sabotage=True)
    assert not report.equal
    assert {one.field for one in report.mismatches} == {"conversion", "feature n_events"}
    assert {one.position for one in report.mismatches} == {1}


@pytest.mark.parametrize("change", ["score", "event", "cluster", "standing"])
def test_a_changed_row_is_found(served: ServedLog, change: str) -> None:
    """A score, an event or a cluster that is not what was logged: found at its row or after."""
    rows = list(logged(served.log))
    at = next(place for place, visit in enumerate(rows) if place > 20 and _is_a_score(visit.call()))
    report = check_log([*rows[:at], _changed(rows[at], change), *rows[at + 1 :]], served.store)
    assert not report.equal
    assert report.mismatches[0].position >= rows[at].position
    fields = {one.field for one in report.mismatches}
    named = {"score": "conversion", "event": "feature n_events", "cluster": "cluster_id"}
    assert named.get(change, change) in fields


def test_sessions_with_gaps_are_left_out(served: ServedLog) -> None:
    """A row that is missing makes answers differ; where the log says so, nothing is compared."""
    rows = list(logged(served.log))
    at = next(
        place
        for place, visit in enumerate(rows)
        if visit.kind is RowKind.WENT_ON and _is_built_on(rows, place)
    )
    assert not check_log([*rows[:at], *rows[at + 1 :]], served.store).equal
    lost = rows[at]
    gap = LoggedVisit(
        lost.position, lost.received_time_us, RowKind.GAP, lost.tenant, lost.session_id, "", b""
    )
    told = check_log([*rows[:at], gap, *rows[at + 1 :]], served.store)
    assert told.equal
    assert told.gap_sessions == 1


def test_a_gap_of_everybody_leaves_out_who_goes_on(served: ServedLog) -> None:
    """Whoever was there before it may lack events: nothing of theirs is compared afterwards."""
    rows = list(logged(served.log))
    middle = len(rows) // 2
    gap = LoggedVisit(0, rows[middle].received_time_us, RowKind.GAP, "", "", "", b"")
    report = check_log([*rows[:middle], gap, *rows[middle:]], served.store)
    before = {visit.key for visit in rows[:middle]}
    after = [visit for visit in rows[middle:] if visit.key not in before]
    assert report.equal
    assert report.gap_sessions == len(before)
    assert report.compared == sum(
        visit.call().HasField("score") for visit in [*rows[:middle], *after]
    )


def test_answers_of_a_bundle_that_is_gone_are_counted(served: ServedLog, tmp_path: Path) -> None:
    """The sessions go on without it; its answers can't be compared, all others are equal."""
    store = tmp_path / "store"
    (store / "tiny").mkdir(parents=True)
    tag = _later_tag(served)
    gone = find_bundle(served.store, tag)
    for folder in gone.parent.iterdir():
        if folder.is_dir() and folder != gone:
            (store / "tiny" / folder.name).symlink_to(folder)
    report = check_log(logged(served.log), store)
    assert report.mismatches == []
    assert report.gone == {tag: report.gone[tag]}
    assert report.gone[tag] > 50
    assert report.compared > 200


def test_the_commands_do_the_same(served: ServedLog, tmp_path: Path) -> None:
    """`import log` writes the same files, `parity --log` ends with 0, sabotaged with 1."""
    assert run("import", "log", served.log, "--out", tmp_path / "events").exit_code == 0
    for path in served.events.glob("*.parquet"):
        assert (tmp_path / "events" / path.name).read_bytes() == path.read_bytes()
    parity = ("parity", "--log", served.log, "--bundle-store", served.store)
    assert run(*parity).exit_code == 0
    done = run(*parity, "--sabotage")
    assert done.exit_code == 1
    assert "feature n_events" in done.stdout
    assert run("parity").exit_code == 2
    nowhere = run("parity", "--log", tmp_path)
    assert "holds no event log" in str(nowhere.exception)


def test_a_log_outlives_its_folder(served: ServedLog, tmp_path: Path) -> None:
    """Checked, backed up and restored by the commands, it recovers the same sessions."""
    copy, back = tmp_path / "copy", tmp_path / "back"
    assert f"{served.report.rows_read:,}" in run("log", "check", served.log).stdout
    assert run("log", "backup", served.log, copy).exit_code == 0
    assert run("log", "restore", copy, back).exit_code == 0
    rows = list(logged(served.log))
    assert list(logged(back)) == rows
    assert "empty folder" in str(run("log", "restore", copy, back).exception)
    segment, *_ = segments(copy)
    segment.write_bytes(segment.read_bytes()[:50_000])
    done = run("log", "check", copy)
    assert done.exit_code == 1
    assert segment.name in done.stderr
    stores = [MemorySessionStore(1_000, 3_600) for _ in range(2)]
    for folder, sessions in zip((served.log, back), stores, strict=True):
        now = rows[-1].received_time_us / 1e6
        recover_sessions(folder, sessions, ttl_s=3_600, most=1_000, now=now)
    for key in {visit.key for visit in rows}:
        assert _values(stores[0].get(key)) == _values(stores[1].get(key))


def test_live_figures_of_a_served_log(served: ServedLog, tmp_path: Path) -> None:
    """The command joins orders and refunds, writes page and gauges, and judges no so few."""
    page, gauges = tmp_path / "live.html", tmp_path / "live.prom"
    log = ("--log", served.log, "--bundle-store", served.store, "--wait-hours", "0")
    done = run("monitor", *log, "--out", page, "--prometheus", gauges)
    assert done.exit_code == 0, done.exception
    assert "too few orders" in done.stdout
    assert "Live scores of tiny:" in page.read_text()
    assert "micromoment_live_degraded 0.0" in gauges.read_text()
    for option, path, told in (
        ("--prometheus", tmp_path / "live.txt", ".prom"),
        ("--prometheus", tmp_path / "nowhere" / "live.prom", "no folder"),
        ("--out", tmp_path / "nowhere" / "live.html", "no folder"),
    ):
        refused = run("monitor", *log, option, path)
        assert refused.exit_code == 2
        assert told in " ".join(refused.stderr.replace("│", "").split())
        assert not path.exists()


def run(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    app = typer.Typer()
    register(app)
    register_log(app)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def _values(entry: SessionEntry | None) -> list[bytes]:
    """Give a session's fields, without the bytes between them."""
    assert entry is not None
    return [
        entry.last_event_id.encode(),
        *(entry.state[name].tobytes() for name in STATE.names or ()),
    ]


def _later_tag(served: ServedLog) -> str:
    tags = list(dict.fromkeys(visit.call().bundle for visit in logged(served.log)))
    return tags[1]


def _keys(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["session_id"].to_pylist(), table["event_id"].to_pylist(), strict=True))


def _users(
    served: ServedLog,
    grouped: GroupedEvents,
    settings: ReplaySettings,
    places: dict[tuple[str, str], int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the user rows that the log holds, for the events that take them up."""
    found: dict[int, UserLookup] = {}
    for visit in logged(served.log):
        call = visit.call()
        user = score_call(visit, call).user
        if user is not None:
            for event in call.events:
                found.setdefault(places[visit.session_id, event.event_id], user)
    moments = find_take_ups(
        grouped.batch, grouped.order, grouped.starts, settings.expiry_us, settings.skew_us
    )
    at = np.flatnonzero(moments["outcome"] == reducer.TAKES_UP)
    rows = np.concatenate([found[row].row for row in at.tolist()])
    status = np.array([found[row].status for row in at.tolist()], np.uint8)
    assert set(status.tolist()) == set(map(int, UserStatus))
    return rows, status, at


def _is_a_score(call: pb.LoggedCall) -> bool:
    return bool(call.score.cluster_id and call.score.events_seen > 1 and len(call.events))


def _is_built_on(rows: Sequence[LoggedVisit], place: int) -> bool:
    """Tell whether a row's events stand in no other row, and later answers count them."""
    call = rows[place].call()
    own = {event.event_id for event in call.events}
    later = [one.call() for one in rows[place + 1 :] if one.key == rows[place].key]
    counts = [one.score.events_seen for one in later if one.events and one.HasField("score")]
    if not own or not counts or counts[0] <= call.score.events_seen or not call.score.events_seen:
        return False
    others = [one for number, one in enumerate(rows) if number != place]
    return not any(
        one.key == rows[place].key and event.event_id in own
        for one in others
        for event in one.call().events
    )


def _changed(visit: LoggedVisit, change: str) -> LoggedVisit:
    call = visit.call()
    changes: dict[str, Callable[[], object]] = {
        "score": lambda: setattr(
            call.score, "conversion", float(np.nextafter(call.score.conversion, 1))
        ),
        "event": call.events.pop,
        "standing": lambda: call.standing.__setitem__(2, 9),
        "cluster": lambda: setattr(call.score, "cluster_id", "nobody"),
    }
    changes[change]()
    return LoggedVisit(
        visit.position,
        visit.received_time_us,
        visit.kind,
        visit.tenant,
        visit.session_id,
        visit.visitor_id,
        call.SerializeToString(),
    )
