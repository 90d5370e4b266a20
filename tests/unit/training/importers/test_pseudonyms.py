"""Imports with keys: the same events under pseudonyms, and no other id in any file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder
from micromoment.events.masking import MASK
from micromoment.stores.erasure_list import ErasureList
from micromoment.stores.log_rows import RowKind
from tests.support.ga4_export import raw, write_export
from tests.support.keyed import BEFORE, ROTATED, UNLINKED, encoder
from tests.support.log_rows import a_visit
from tests.support.segment_calls import call, track, write_lines
from tests.support.tables import ORDERS, line, write_csv, write_mapping
from training.event_files import event_days
from training.importers import ImportReport, import_ga4, import_segment, import_table
from training.importers.log import LogSource, import_log

IDS = encoder(BEFORE)
Row = dict[str, Any]
Import = Callable[[Path, Path, IdEncoder | None], ImportReport]
MAIL = "jane.doe@example.org"
NAMES = ("session_id", "anonymous_id", "user_id")
# Whoever they are, these must not be found.
PEOPLE = ("browser-one", "browser-two", "customer-one", "customer-two", "their-session", "jane.doe")


def ga4(files: Path, out: Path, ids: IdEncoder | None) -> ImportReport:
    """Import two days of an export, one after the other."""
    reports = []
    for day, start in (("2021-01-05", 0), ("2021-01-06", 86_400)):
        happened: list[tuple[str, str, dict[str, Any]]] = [
            ("page_view", "browser-one", {"page": f"/account/{MAIL}"}),
            ("page_view", "browser-two", {"title": f"Hello {MAIL}"}),
            ("view_item", "browser-one", {"user_id": "customer-one"}),
            ("page_view", "browser-one", {}),
        ]
        rows = [
            raw(name, start + 60 * place, user=user, session="their-session", day=day, **more)
            for place, (name, user, more) in enumerate(happened)
        ]
        path = write_export(files / f"events_{day.replace('-', '')}.parquet", rows)
        reports.append(import_ga4([path], out, ids=ids))
    return reports[-1]


def segment(files: Path, out: Path, ids: IdEncoder | None) -> ImportReport:
    """Import calls of which some come a day later, and a session that goes on over midnight."""
    reports = []
    for part, minutes in enumerate((0, 715, 725, 1_500)):
        calls = [
            call("page", minutes, anonymousId="browser-one", messageId=f"p{part}"),
            track("x", minutes + 1, anonymousId="browser-one", userId="customer-one",
                  messageId=f"x{part}"),
            call("page", minutes, anonymousId="browser-two", messageId=f"q{part}",
                 context={"sessionId": "their-session", "page": {"title": f"For {MAIL}"}}),
            track("Order Completed", minutes + 2, anonymousId=None, userId="customer-one",
                  messageId=f"o{part}", properties={"order_id": f"o{part}"}),
        ]  # fmt: skip
        path = write_lines(files / f"calls{part}.jsonl", calls)
        reports.append(import_segment(path, out, ids=ids, replace=True))
    return reports[-1]


def orders(files: Path, out: Path, ids: IdEncoder | None) -> ImportReport:
    """Import orders, then what takes one of them back."""
    reports = []
    mapping = write_mapping(files / "orders.yaml", ORDERS)
    parts = [
        [line("1", "a", customer="customer-one", time="2024-05-01"),
         line("2", "b", customer="customer-two", time="2024-05-01")],
        [line("C3", "a", quantity="-1", customer="customer-one", time="2024-05-02")],
    ]  # fmt: skip
    for number, rows in enumerate(parts):
        path = write_csv(files / f"orders{number}.csv", rows)
        reports.append(import_table(path, mapping, out, ids=ids))
    return reports[-1]


def rows_of(out: Path) -> list[Row]:
    """Read all events."""
    return [
        row for path in sorted(out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def structure(rows: Iterable[Row]) -> list[tuple[object, ...]]:
    """Give what must be the same whatever ids are called: each as the number of its first row."""
    seen: dict[tuple[str, str | None], int] = {}
    same = ("event_time", "type", "source_seq", "order_id")
    ordered = sorted(rows, key=lambda row: [str(row[name]) for name in same])
    return [
        tuple(
            seen.setdefault((name, row[name]), len(seen)) if name in NAMES else str(row[name])
            for name in (*same, *NAMES)
        )
        for row in ordered
    ]


def everything_in(folder: Path) -> bytes:
    """Give all that files hold: their bytes, and what Parquet files read as."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            parts.append(path.read_bytes())
            if path.suffix == ".parquet":
                parts.append(str(pq.read_table(path).to_pydict()).encode())
    return b"\n".join(parts)


@pytest.mark.parametrize("run", [ga4, segment, orders])
def test_keys_change_what_ids_are_called_and_nothing_else(tmp_path: Path, run: Import) -> None:
    """Sessions, places, repeats and orders are found as without keys, over several imports."""
    plain = run(tmp_path / "files", tmp_path / "plain", None)
    keyed = run(tmp_path / "files", tmp_path / "keyed", IDS)
    assert structure(rows_of(tmp_path / "plain")) == structure(rows_of(tmp_path / "keyed"))
    assert (plain.visitors, plain.sessions) == (keyed.visitors, keyed.sessions)
    assert keyed.rows_kept == plain.rows_kept > 0
    assert event_days(tmp_path / "keyed").key_id == "k1"
    assert event_days(tmp_path / "plain").key_id == ""
    people = {row[name] for row in rows_of(tmp_path / "keyed") for name in NAMES[1:]} - {None}
    assert people
    assert {one.partition(".")[0] for one in people} == {"k1"}


@pytest.mark.parametrize("run", [ga4, segment, orders])
def test_no_file_holds_an_id(tmp_path: Path, run: Import) -> None:
    """Neither events nor the state for later imports nor the report; without keys they do."""
    run(tmp_path / "files", tmp_path / "plain", None)
    run(tmp_path / "files", tmp_path / "keyed", IDS)
    known, found = everything_in(tmp_path / "plain"), everything_in(tmp_path / "keyed")
    assert [one for one in PEOPLE if one.encode() in known]
    assert not [one for one in PEOPLE if one.encode() in found]


def list_erased(folder: Path, stored: str) -> None:
    """Write the list of a folder: somebody was erased after all that is imported."""
    erasures = ErasureList()
    erasures.add([stored], time.time_ns() // 1_000)
    erasures.save(folder)


# What a folder's list has of somebody: the plain id, or a pseudonym under a key of before or now.
LISTED = pytest.mark.parametrize(
    "listed", [IdEncoder(), IDS, encoder(ROTATED)], ids=["plain", "k1", "k2"]
)


@LISTED
@pytest.mark.parametrize("run", [ga4, segment, orders])
def test_who_was_erased_stays_out_under_other_keys(
    tmp_path: Path, run: Import, listed: IdEncoder
) -> None:
    """The list may have been written before there were keys, or under another one."""
    keys = encoder(ROTATED)
    everybody = run(tmp_path / "files", tmp_path / "before", keys)
    list_erased(tmp_path / "out", listed.encode("customer-one"))
    report = run(tmp_path / "files", tmp_path / "out", keys)
    theirs = keys.encode("customer-one")
    assert theirs in {row["user_id"] for row in rows_of(tmp_path / "before")}
    assert theirs not in {row["user_id"] for row in rows_of(tmp_path / "out")}
    assert report.dropped["erased"] > everybody.dropped.get("erased", 0) == 0


def test_masked_texts_are_counted(tmp_path: Path) -> None:
    """The report says in how many rows an address was masked, by column."""
    report = ga4(tmp_path / "files", tmp_path / "keyed", IDS)
    cleaned = {name: n for name, n in report.cleaned.items() if "email" in name}
    assert cleaned == {"page_id.email_masked": 1, "page_title.email_masked": 1}
    assert f"/account/{MASK}" in {row["page_id"] for row in rows_of(tmp_path / "keyed")}


def test_an_import_does_not_mix_keys(tmp_path: Path) -> None:
    """A folder holds ids under one key: another, or none, is refused before anything changes."""
    ga4(tmp_path / "files", tmp_path / "out", IDS)
    before = everything_in(tmp_path / "out")
    for ids in (None, encoder(ROTATED)):
        with pytest.raises(InvalidDataError, match="pseudonyms under the key k1, this import"):
            ga4(tmp_path / "files", tmp_path / "out", ids)
    assert everything_in(tmp_path / "out") == before


def test_what_reads_events_does_not_encode_twice(tmp_path: Path) -> None:
    """Plain ids are encoded on reading, pseudonyms are used as they are, unknown ones refused."""
    for name, ids in (("plain", None), ("keyed", IDS)):
        ga4(tmp_path / "files", tmp_path / name, ids)
    plain, keyed = event_days(tmp_path / "plain"), event_days(tmp_path / "keyed")
    assert plain.encoder(IDS) is IDS
    assert plain.encoder(None) is keyed.encoder(None) is None
    assert keyed.encoder(IDS) is keyed.encoder(encoder(ROTATED)) is None
    with pytest.raises(InvalidDataError, match="key k1, which the given keys lack"):
        keyed.encoder(encoder(UNLINKED))
    (tmp_path / "plain" / "2021-01-05.parquet").replace(tmp_path / "keyed" / "2021-01-04.parquet")
    with pytest.raises(InvalidDataError, match="under the key k1, those of earlier days plain"):
        event_days(tmp_path / "keyed")
    with pytest.raises(InvalidDataError, match="under the key k1, those of earlier days plain"):
        plain.between(last=plain.days[0]).joined(keyed.between(first=keyed.days[1]))


def a_log(*encoders: IdEncoder) -> LogSource:
    """Make a log of one visitor's visits, one under each encoder's current key."""
    visits = []
    for number, ids in enumerate(encoders, start=1):
        visit = a_visit(number, "", "e", kind=RowKind.BEGAN, received_s=4_000 * number)
        session_id = ids.encode(f"their-session-{number}")
        visitor_id = ids.encode("customer-one")
        visits.append(replace(visit, session_id=session_id, visitor_id=visitor_id))
    return LogSource((Path("log.sqlite"),), ((0, one) for one in visits))


def test_a_log_is_imported_as_its_ids_are(tmp_path: Path) -> None:
    """Without keys pseudonyms stay, and the files name their key."""
    import_log(a_log(IDS), tmp_path)
    assert event_days(tmp_path).key_id == "k1"
    assert {row["session_id"] for row in rows_of(tmp_path)} == {IDS.encode("their-session-1")}


@LISTED
def test_who_was_erased_stays_out_of_a_log_of_before(tmp_path: Path, listed: IdEncoder) -> None:
    """Also where the list has the form of the log, or one that neither has."""
    keys = encoder(ROTATED)
    list_erased(tmp_path, listed.encode("customer-one"))
    assert import_log(a_log(IdEncoder()), tmp_path, ids=keys).dropped == {"erased": 1}
    if listed.is_on:
        assert import_log(a_log(IDS), tmp_path, ids=keys).dropped == {"erased": 1}


@pytest.mark.parametrize("before", [IdEncoder(), IDS])
def test_a_log_over_a_rotation_has_each_visitor_once(tmp_path: Path, before: IdEncoder) -> None:
    """With the keys, ids that were logged plainly or under the earlier key become current ones."""
    with pytest.raises(InvalidDataError, match="ids are under these keys"):
        import_log(a_log(before, encoder(ROTATED)), tmp_path / "without")
    import_log(a_log(before, encoder(ROTATED)), tmp_path / "with", ids=encoder(ROTATED))
    rows = rows_of(tmp_path / "with")
    assert len({row["session_id"] for row in rows}) == 2
    visitors = {row["user_id"] or row["anonymous_id"] for row in rows}
    assert visitors == {encoder(ROTATED).encode("customer-one")}
    assert event_days(tmp_path / "with").key_id == "k2"


def test_a_log_under_a_key_that_does_not_lead_on_is_refused(tmp_path: Path) -> None:
    """What can't be brought under the current key is not mixed with what is."""
    keys = encoder(f"{UNLINKED}\n{BEFORE}")
    with pytest.raises(InvalidDataError, match="k1 \\(first in row 1\\)"):
        import_log(a_log(IDS), tmp_path, ids=keys)
    assert not list(tmp_path.glob("*.parquet"))
