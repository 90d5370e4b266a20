"""Erasing people from files: all rows of theirs go, no others, and an import brings nobody back."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.stores.erasure_list import ERASURES_FILE, ErasureList, load_erasures
from micromoment.stores.event_log import OUTSIDE_FILE, LoggedEvent, OutsideVisitLog
from micromoment.stores.log_rows import LogRow, RowKind
from micromoment.stores.log_segments import LogFolder, LogLimits, SegmentWriter
from micromoment.stores.online_erasing import erase_online
from micromoment.v1 import events_pb2, log_pb2
from micromoment.workspace_erasing import (
    JOINING_SCRATCH_PREFIX,
    TRAINING_SCRATCH_PREFIX,
    erase_from_workspace,
    workspace_rows,
)
from tests.support.feature_stores import SHOP, day
from tests.support.ga4_export import raw, write_export
from tests.support.happenings import Happening, moment, write_events
from tests.support.privacy import BROWSER, OTHER, USER, a_workspace_with_them, traces_in_files
from training.importers import import_ga4
from training.pipeline.retrain import _scratch
from training.privacy import (
    OfflinePlaces,
    apply_erasures,
    erase_people,
    expire,
    export_people,
)
from training.privacy.erase import bundles_with

IDS = (USER, BROWSER)


def events_of(folder: Path) -> Path:
    """Write three days of events; a visit of theirs begins as nobody's and goes over midnight."""
    happenings = []
    for number in range(3):
        at = moment(day(number), 12, shop=SHOP)
        happenings += [
            Happening(at, anonymous_id=OTHER, session_id=f"o{number}"),
            Happening(at, anonymous_id="v", session_id=f"v{number}"),
        ]
    night = moment(day(2), 0, shop=SHOP)
    happenings += [
        Happening(night - timedelta(minutes=5), anonymous_id="anybody", session_id="canary-s"),
        Happening(night + timedelta(minutes=5), user_id=USER, session_id="canary-s"),
        Happening(night, anonymous_id=BROWSER, session_id="canary-t", order_id="canary-o"),
    ]
    write_events(folder, happenings, SHOP)
    return folder


def rows_of(folder: Path) -> dict[str, int]:
    """Count the rows of each file."""
    return {path.name: pq.read_metadata(path).num_rows for path in folder.glob("*.parquet")}


def test_their_rows_go_and_only_files_with_some_are_touched(tmp_path: Path) -> None:
    """The visit goes whole, also the part in which nobody was known; a file without it stays."""
    folder = events_of(tmp_path / "events")
    before = rows_of(folder)
    first, *others = sorted(folder.glob("*.parquet"))
    untouched = first.stat()
    assert len(traces_in_files(folder)) == 2
    report = erase_people(IDS, OfflinePlaces(events=(folder,)))
    assert traces_in_files(folder) == []
    assert sum(before.values()) - sum(rows_of(folder).values()) == 3
    assert {Path(name).name: rows for name, rows in report.rows.items()} == {
        others[0].name: 1,
        others[1].name: 2,
    }
    assert first.stat() == untouched
    assert pq.read_schema(others[0]).equals(pq.read_schema(first))
    again = erase_people(IDS, OfflinePlaces(events=(folder,)))
    assert again.rows == {}


def test_state_of_a_day_that_is_elsewhere_goes(tmp_path: Path) -> None:
    """Orders by whose they are; places of visits, which don't say whose they are, all of the day's.

    Of a day that is there only theirs go.
    """
    folder = tmp_path / "events"
    for place in range(2):
        rows = [
            raw("purchase", 86_400 * place, user=user, user_id=user, day=f"2021010{5 + place}")
            for user in (BROWSER, OTHER)
        ]
        export = write_export(tmp_path / f"export-{place}.parquet", rows)
        import_ga4([export], folder)
    (folder / "2021-01-05.parquet").rename(tmp_path / "moved.parquet")

    def holding() -> list[str]:
        return [
            str(path.relative_to(folder))
            for path in sorted(folder.rglob("*.parquet"))
            if "canary" in str(pq.read_table(path).to_pylist())
        ]

    assert len(holding()) == 5
    told = {Path(name).parent.name for name, _ in export_people(IDS, OfflinePlaces((folder,)))}
    assert told == {"purchases", "events"}
    report = erase_people(IDS, OfflinePlaces(events=(folder,)))
    assert holding() == []
    assert traces_in_files(folder) == []
    assert sorted(Path(name).parent.name for name in report.rows) == ["events", "purchases"]
    states = folder / ".import-state"
    assert [path.stem for path in (states / "sessions").iterdir()] == ["2021-01-06"]
    for path in states.glob("*/*.parquet"):
        assert pq.read_metadata(path).num_rows == 1, path


def test_the_list_of_erasures_holds_no_id(tmp_path: Path) -> None:
    """It tells who was erased to whoever asks for one, and names nobody."""
    folder = events_of(tmp_path / "events")
    erase_people(IDS, OfflinePlaces(events=(folder,)), time_us=7)
    erasures = load_erasures(folder)
    assert [erasures.until(one) for one in (USER, BROWSER, OTHER, "")] == [7, 7, 0, 0]
    assert len(erasures.digest) == 16
    assert "canary" not in (folder / ERASURES_FILE).read_text()
    (folder / ERASURES_FILE).write_text("{")
    with pytest.raises(InvalidDataError):
        load_erasures(folder)


def test_features_online_rows_tables_and_logs_go(tmp_path: Path) -> None:
    """From the workspace, an event log at rest, and tables that were written for others."""
    workspace = a_workspace_with_them(tmp_path)
    (tmp_path / "audience.csv").write_text(f"visitor_id,score\n{USER},1\n{OTHER},2\n")
    log = a_log(tmp_path / "log")
    places = OfflinePlaces(
        workspace=workspace.root, logs=(log,), tables=(tmp_path / "audience.csv",)
    )
    told = list(export_people(IDS, places))
    kinds = {name.removeprefix(str(tmp_path)).partition(".")[0] for name, _ in told}
    assert {"/audience", "/features (online store)", "/log/outside_visits"} <= kinds
    assert len([name for name in kinds if name.startswith("user_snapshots")]) >= 1
    assert traces_in_files(workspace.root, log) != []
    report = erase_people(IDS, places)
    assert traces_in_files(workspace.root, log) == []
    assert report.rows[f"{log} (calls)"] == 1
    assert report.rows[f"{log} (events outside visits)"] == 1
    assert report.rows[f"{workspace.root} (online store)"] == 2
    assert (tmp_path / "audience.csv").read_text() == f"visitor_id,score\n{OTHER},2\n"
    assert list(export_people(IDS, places)) == []
    others = list(export_people([OTHER], places))
    assert {"online store", "audience.csv"} <= {
        name.rpartition("(")[2].rstrip(")") if "(" in name else Path(name).name
        for name, _ in others
    }


def test_logs_are_erased_from_by_tenant(tmp_path: Path) -> None:
    """Rows of others under the same id stay, and are not told."""
    log = a_log(tmp_path / "log", "second")
    for tenant, rows in (("default", 0), ("second", 2)):
        places = OfflinePlaces(logs=(log,), tenant=tenant)
        assert len(list(export_people(IDS, places))) == rows
        assert sum(erase_people(IDS, places).rows.values()) == rows
    assert traces_in_files(log) == []


def a_log(folder: Path, tenant: str = "default") -> Path:
    """Write a log at rest with a call of theirs, one of others, and an order of theirs."""
    writer = SegmentWriter(folder, "commit", LogLimits(1 << 20, 1e12, 1 << 30))
    body = log_pb2.LoggedCall(bundle="shop:1").SerializeToString()
    for visitor in (USER, OTHER):
        writer.write([LogRow(1, RowKind.BEGAN, tenant, f"s-{visitor}", visitor, body)])
    writer.close()
    outside = OutsideVisitLog(folder / OUTSIDE_FILE)
    event = events_pb2.Event(event_id="canary-1").SerializeToString()
    outside._append([LoggedEvent(1, tenant, USER, "canary-1", event)])
    outside._close()
    return folder


def test_a_log_that_a_server_uses_is_refused(tmp_path: Path) -> None:
    """Its server erases from it; two must not write."""
    log = a_log(tmp_path / "log")
    lock = LogFolder(log)
    with pytest.raises(InvalidSettingError, match=r"a server that runs: let it erase \(--server\)"):
        erase_people(IDS, OfflinePlaces(logs=(log,)))
    lock.close()


def test_what_a_server_erased_does_not_come_back_by_training(tmp_path: Path) -> None:
    """The workspace's list is applied to events: those until the erasure go, later ones stay."""
    folder = events_of(tmp_path / "events")
    workspace = tmp_path / "features"
    told = ErasureList()
    night = moment(day(2), 0, shop=SHOP)
    told.add([USER, BROWSER], round(night.timestamp() * 1e6))
    told.save(workspace)
    apply_erasures(workspace, folder)
    found = {
        row["user_id"] or row["anonymous_id"]
        for path in folder.glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    # The user came five minutes after the erasure.
    assert found == {OTHER, "v", "anybody", USER}
    assert not load_erasures(folder).lacks(told)
    assert apply_erasures(workspace, folder).rows == {}


def test_events_to_be_read_only_must_hold_nobody_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no command could read such a folder any more as soon as anybody was erased."""
    folder, workspace = events_of(tmp_path / "events"), tmp_path / "features"
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    told = ErasureList()
    told.add(["nobody-here"], 1 << 60)
    told.save(workspace)

    def refused(*_of: object, **_how: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(ErasureList, "save", refused)
    monkeypatch.setattr(Path, "mkdir", refused)
    assert apply_erasures(workspace, folder).rows == {}
    monkeypatch.undo()
    told.add([USER], 1 << 60)
    told.save(workspace)
    monkeypatch.setattr(ErasureList, "save", refused)
    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(InvalidDataError, match="can't be written: Read-only"):
        apply_erasures(workspace, folder)
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == before


def test_bundles_that_hold_an_id_are_named(tmp_path: Path) -> None:
    """In a cell of a golden session, also as the name of one; others are not, nor models."""
    for version, session, visitor in (
        ("1", "s1", f"{USER}-2"),
        ("2", USER, OTHER),
        ("3", "s1", BROWSER),
    ):
        folder = tmp_path / "shop" / version
        (folder / "golden").mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        (folder / "model.txt").write_text(f"split_gain=1 {USER} 3")
        rows = pa.table({"session_id": [session], "visitor_id": [visitor]})
        pq.write_table(rows, folder / "golden" / "users.parquet")
    assert bundles_with(tmp_path, IDS) == ["shop:2", "shop:3"]


def test_what_is_older_goes(tmp_path: Path) -> None:
    """Days of events, snapshots with the online rows of who has no later one, and old erasures."""
    folder = events_of(tmp_path / "events")
    workspace = a_workspace_with_them(tmp_path)
    erasures = ErasureList()
    erasures.add(["old"], 7)
    erasures.add(["new"], round(datetime.now(UTC).timestamp() * 1e6))
    for place in (folder, workspace.root):
        erasures.save(place)
    before = sorted(path.stem for path in workspace.snapshots.glob("*.parquet"))
    report = expire(day(2), events=folder, workspace=workspace.root)
    assert sorted(rows_of(folder)) == [f"{day(2)}.parquet"]
    left = sorted(path.stem for path in workspace.snapshots.glob("*.parquet"))
    assert left == [one for one in before if one >= str(day(2))]
    assert (report.days, report.snapshots, report.erasures) == (2, len(before) - len(left), 2)
    assert load_erasures(folder).until("new") > 0
    online = {name for name, _ in export_people([BROWSER], OfflinePlaces(workspace=workspace.root))}
    kept = {path.name for path in workspace.snapshots.glob("*.parquet")}
    assert any("online" in name for name in online) == any(
        Path(name).name in kept for name in online
    )


def test_a_workspace_to_be_read_only_must_hold_nothing_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it can't be written, that is an error as long as something of them is in it."""
    workspace = a_workspace_with_them(tmp_path)

    def refused(_erasures: ErasureList, _folder: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as mount:
        mount.setattr(ErasureList, "save", refused)
        with pytest.raises(OSError, match="Read-only"):
            erase_from_workspace(workspace.root, IDS, 7)
    erase_people(IDS, OfflinePlaces(workspace=workspace.root))
    monkeypatch.setattr(ErasureList, "save", refused)
    assert erase_from_workspace(workspace.root, IDS, 7) == 0
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert erase_online(workspace.root, IDS) == 0


def test_a_training_that_runs_holds_up_no_erasure(tmp_path: Path) -> None:
    """What it has half written is left to it, by a server and by the command; the rest goes."""
    workspace = a_workspace_with_them(tmp_path)
    with _scratch(workspace.root) as retraining:
        with_dask = workspace.root / f"{TRAINING_SCRATCH_PREFIX}x1"
        joining = workspace.root / f"{JOINING_SCRATCH_PREFIX}x1"
        for folder in (retraining / "parts", with_dask, joining):
            folder.mkdir()
            (folder / "part.parquet").write_bytes(b"PAR1 and half of a file")
        assert erase_from_workspace(workspace.root, IDS, 7) > 0
        assert list(workspace_rows(workspace.root, IDS)) == []
        assert load_erasures(workspace.root).until(USER) == 7
        assert (retraining / "parts" / "part.parquet").exists()
    # Another folder's file that can't be read still is an error.
    (workspace.root / "own").mkdir()
    (workspace.root / "own" / "part.parquet").write_bytes(b"PAR1 and half of a file")
    with pytest.raises(InvalidDataError, match="no Parquet file"):
        erase_from_workspace(workspace.root, IDS, 8)
