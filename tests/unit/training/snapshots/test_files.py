"""Which visitors get a row, and what the files are like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder, IdKey
from tests.support.happenings import Happening, write_events
from tests.support.snapshots import BERLIN, DAY, LAG, a_purchase, at, build, days, rows_of
from training.snapshots import build_user_snapshots


def test_dormant_visitors_get_a_row_only_when_something_changes(tmp_path: Path) -> None:
    """After 57 quiet days rows stop, until an order is undone."""
    happenings = [
        a_purchase(0, order_id="o1"),
        a_purchase(0, 13, order_id="o2"),
        Happening(at(100), type="cancel", order_id="o2", session_id=""),
    ]
    report = build(tmp_path, happenings, 1, 103)
    written = [(day - DAY).days for day, count in report.rows.items() if count]
    assert written == [*range(1, 58), 101]
    assert rows_of(tmp_path, 57)["a"]["active_days_29_56d"] == 0
    assert rows_of(tmp_path, 56)["a"]["active_days_29_56d"] == 1
    assert rows_of(tmp_path, 101)["a"]["orders_365d"] == 1


def test_an_order_that_leaves_the_year_makes_a_row(tmp_path: Path) -> None:
    """A visitor away for a year gets a row at the cut that no longer counts the order."""
    report = build(tmp_path, [a_purchase(0, order_id="o1")], 364, 368)
    written = [(day - DAY).days for day, count in report.rows.items() if count]
    assert written == [364, 366]  # 364 is the first cut, which holds everybody
    assert rows_of(tmp_path, 364)["a"]["orders_365d"] == 1
    assert rows_of(tmp_path, 366)["a"]["orders_365d"] == 0


def test_a_daily_run_appends_what_one_long_run_would_have_written(tmp_path: Path) -> None:
    """Cut day by day with `keep_others`, the files are those of a single run."""
    happenings = [
        Happening(at(day, 10 + day), anonymous_id=f"v{day % 3}", session_id=f"s{day}")
        for day in range(5)
    ]
    build(tmp_path / "once", happenings, 1, 5)
    for day in range(1, 6):
        build(tmp_path / "daily", happenings, day, day, keep_others=True)
    for day in range(1, 6):
        assert rows_of(tmp_path / "daily", day) == rows_of(tmp_path / "once", day)


def test_cuts_of_an_older_version_are_not_continued(tmp_path: Path) -> None:
    """A daily run refuses a folder whose cuts lack a column; cutting all days again is fine."""
    happenings = [Happening(at(0), anonymous_id="a")]
    build(tmp_path, happenings, 1, 1)
    old = tmp_path / "snapshots" / "2021-03-02.parquet"
    pq.write_table(pq.read_table(old).drop_columns(["orders_undone"]), old)
    with pytest.raises(InvalidDataError, match=r"2021-03-02\.parquet.*cut all days again"):
        build(tmp_path, happenings, 2, 2, keep_others=True)
    build(tmp_path, happenings, 1, 2)
    assert rows_of(tmp_path, 1)["a"]["orders_undone"] == 0


def test_files_of_other_days_are_removed(tmp_path: Path) -> None:
    """A build without `keep_others` leaves nothing of an earlier build behind."""
    happenings = [Happening(at(0), anonymous_id="a")]
    build(tmp_path, happenings, 1, 3)
    build(tmp_path, happenings, 2, 2)
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["2021-03-03.parquet"]


def test_the_same_events_give_the_same_bytes(tmp_path: Path) -> None:
    """Two builds write equal files, rows in order of visitor ids."""
    happenings = [
        Happening(at(0, number % 24), anonymous_id=f"v{number * 7 % 1000}", session_id=f"s{number}")
        for number in range(3000)
    ]
    build(tmp_path / "one", happenings, 1, 2)
    build(tmp_path / "two", happenings, 1, 2)
    for name in ("2021-03-02.parquet", "2021-03-03.parquet"):
        one, two = (tmp_path / half / "snapshots" / name for half in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    table = pq.read_table(tmp_path / "one" / "snapshots" / "2021-03-03.parquet")
    visitors = table["visitor_id"].to_pylist()
    assert visitors == sorted(visitors)


def test_visitor_ids_are_encoded(tmp_path: Path) -> None:
    """With a key, rows carry the pseudonym that serving looks up, and no plain id."""
    ids = IdEncoder([IdKey("k1", b"secret")])
    happenings = [Happening(at(0), anonymous_id="canary", user_id="canary-user")]
    build(tmp_path, happenings, 1, 1, ids=ids)
    assert set(rows_of(tmp_path, 1)) == {ids.encode("canary-user")}
    assert b"canary" not in (tmp_path / "snapshots" / "2021-03-02.parquet").read_bytes()


def test_the_report_accounts_for_every_event(tmp_path: Path) -> None:
    """Events read are those kept and those dropped, by reason."""
    seen = Happening(at(0), anonymous_id="a")
    happenings = [
        seen,
        replace(seen, is_bot=True),
        replace(seen, consent_analytics="denied"),
        replace(seen, anonymous_id=None),
        replace(seen, type="refund"),
        replace(seen, at=at(1)),
    ]
    report = build(tmp_path, happenings, 1, 1)
    assert (report.events_read, report.events_kept) == (6, 1)
    assert report.events_dropped == {
        "after the last cut": 1,
        "analytics consent denied": 1,
        "bot": 1,
        "neither user_id nor anonymous_id": 1,
        "refund or cancellation without order_id": 1,
    }


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """A file that is no Parquet is refused by its name."""
    broken = tmp_path / "2021-03-01.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(InvalidDataError, match=r"2021-03-01\.parquet"):
        build_user_snapshots(
            [broken],
            tmp_path / "out",
            shop=BERLIN,
            first_day=days(1),
            last_day=days(1),
            publish_lag=LAG,
        )


def test_days_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    """A last day before the first is an error that names both."""
    with pytest.raises(InvalidDataError, match=r"2021-03-03 to 2021-03-02"):
        build(tmp_path, [Happening(at(0), anonymous_id="a")], 2, 1)


def test_snapshots_never_replace_the_events(tmp_path: Path) -> None:
    """Written to the events' own folder they would remove the events, so that is refused."""
    events = write_events(tmp_path, [Happening(at(0), anonymous_id="a")], BERLIN)
    with pytest.raises(InvalidDataError, match="folder of their own"):
        build_user_snapshots(
            events, tmp_path, shop=BERLIN, first_day=days(1), last_day=days(1), publish_lag=LAG
        )
    assert (tmp_path / "2021-03-01.parquet").exists()
