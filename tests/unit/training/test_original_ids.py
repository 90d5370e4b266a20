"""Which ids leave with scores and lists: pseudonyms where there are keys, originals on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.events.identity import IdEncoder
from micromoment.events.schema import schema_under
from tests.support.keyed import BEFORE, ROTATED, encoder
from tests.support.scored_points import START, scored_rows
from training.audiences import run as audiences
from training.audiences.run import AudienceRequest, export_members
from training.event_files import EventDays
from training.original_ids import originals_for, read_known_ids
from training.pipeline import score as scores
from training.pipeline.score import SCORE_COLUMNS, ScoreRequest, score_events

KEYS = encoder(ROTATED)
# Visitors "browser-1" (anonymous alone) and "customer-2" with "browser-2".
VISITS = (("visit-1", "browser-1", None), ("visit-2", "browser-2", "customer-2"))
PLAIN = ["visit-1", "visit-2"]
PEOPLE = [("browser-1", "", "browser-1"), ("customer-2", "customer-2", "browser-2")]


@dataclass
class FakeBundle:
    """A bundle that nothing is asked of but its name."""

    tag: str = "shop:1"


def events_in(folder: Path, ids: IdEncoder | None) -> Path:
    """Write a day of events, their ids plain or under the current key."""
    name = ids.encode if ids is not None else str
    rows = [
        {
            "event_id": f"e{place}", "type": "page_view", "source_seq": 1,
            "event_time": START + timedelta(minutes=place), "session_id": name(session),
            "anonymous_id": name(anonymous), "user_id": user and name(user),
        }
        for place, (session, anonymous, user) in enumerate(VISITS)
    ]  # fmt: skip
    folder.mkdir()
    schema = schema_under(ids.key_id if ids is not None else "")
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "2024-05-01.parquet")
    return folder


def as_scored(_bundle: object, days: EventDays, *_: object, **options: Any) -> pa.Table:  # noqa: ANN401 - of several types
    """Stand in for scoring: sessions as the events have them, visitors under the key."""
    events = pq.read_table(next(iter(days.files.values()))).to_pylist()
    encode = options["ids"].encode if options["ids"] is not None else str
    table = scored_rows(
        *(
            {
                "session": one["session_id"],
                "visitor": encode(one["user_id"] or one["anonymous_id"]),
                "audiences": ["all"],
            }
            for one in events
        )
    )
    for name in SCORE_COLUMNS:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.string()))
    return table


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scores, audiences):
        monkeypatch.setattr(module, "load_bundle", lambda _folder: FakeBundle())
        monkeypatch.setattr(module, "score_days", as_scored)
    monkeypatch.setattr(audiences, "segment_ids", lambda _bundle: ([], ["all"]))


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A file that knows the second visit and its customer alone."""
    path = tmp_path / "known.txt"
    path.write_text("visit-2\ncustomer-2\r\n\nnobody\n")
    return path


def sessions(request: ScoreRequest) -> list[str]:
    """Score; give the sessions as they were written."""
    assert score_events(request) == len(VISITS)
    table = pq.read_table(request.out)
    assert table.column_names == list(SCORE_COLUMNS)
    names: list[str] = table["session_id"].to_pylist()
    return names


def people(request: AudienceRequest) -> list[tuple[str, str, str]]:
    """Export; give visitors with user and anonymous ids, empty for none."""
    frame = export_members(request, "all").frame.fillna("")
    ids = frame[["visitor_id", "user_id", "anonymous_id"]]
    return [tuple(row) for row in ids.itertuples(index=False)]


def under_key(rows: list[tuple[str, str, str]]) -> list[tuple[str, ...]]:
    """Give people as the current key names them, in the order of lists: by visitor."""
    return sorted(tuple(map(KEYS.encode, row)) for row in rows)


@pytest.mark.parametrize("stored_under", [None, KEYS], ids=["plain events", "pseudonyms"])
def test_with_keys_pseudonyms_leave(tmp_path: Path, stored_under: IdEncoder | None) -> None:
    """By default, whatever the events have; the same ones for all."""
    events = events_in(tmp_path / "events", stored_under)
    out = tmp_path / "scores.parquet"
    assert sessions(ScoreRequest(tmp_path, events, out, ids=KEYS)) == [
        KEYS.encode(one) for one in PLAIN
    ]
    request = AudienceRequest(tmp_path, events, date(2024, 5, 1), ids=KEYS)
    assert people(request) == under_key(PEOPLE)


def test_original_ids_are_those_of_plain_events(tmp_path: Path) -> None:
    """With the flag, in all columns; without keys they are plain anyway."""
    events = events_in(tmp_path / "events", None)
    request = ScoreRequest(tmp_path, events, tmp_path / "scores.parquet", ids=KEYS)
    assert sessions(replace(request, original_ids=True)) == PLAIN
    assert sessions(replace(request, ids=None)) == PLAIN
    members = AudienceRequest(tmp_path, events, date(2024, 5, 1), ids=KEYS)
    assert sorted(people(replace(members, original_ids=True))) == PEOPLE
    assert sorted(people(replace(members, ids=None))) == PEOPLE


def test_known_ids_come_back_from_pseudonyms(tmp_path: Path, known: Path) -> None:
    """Whoever isn't in the file keeps the pseudonym, in each column for itself."""
    events = events_in(tmp_path / "events", KEYS)
    request = ScoreRequest(tmp_path, events, tmp_path / "scores.parquet", ids=KEYS)
    assert sessions(replace(request, known_ids=known)) == [KEYS.encode("visit-1"), "visit-2"]
    # The flag alone knows nobody.
    assert sessions(replace(request, original_ids=True)) == [KEYS.encode(one) for one in PLAIN]
    members = AudienceRequest(tmp_path, events, date(2024, 5, 1), ids=KEYS, known_ids=known)
    first = KEYS.encode("browser-1")
    assert set(people(members)) == {
        (first, "", first),
        ("customer-2", "customer-2", KEYS.encode("browser-2")),
    }


def test_known_ids_come_back_from_earlier_keys(tmp_path: Path, known: Path) -> None:
    """Events of before a change of keys are read with the keys of after it."""
    events = events_in(tmp_path / "events", encoder(BEFORE))
    request = ScoreRequest(tmp_path, events, tmp_path / "scores.parquet", ids=KEYS)
    assert sessions(replace(request, known_ids=known)) == [
        encoder(BEFORE).encode("visit-1"),
        "visit-2",
    ]


@pytest.mark.parametrize("ids", [None, IdEncoder()], ids=["none", "without keys"])
def test_original_ids_need_keys(tmp_path: Path, known: Path, ids: IdEncoder | None) -> None:
    """Said before anything is read or written, and which setting it takes."""
    out = tmp_path / "scores.parquet"
    request = ScoreRequest(tmp_path, tmp_path, out, ids=ids)
    members = AudienceRequest(tmp_path, tmp_path, date(2024, 5, 1), ids=ids)
    for changes in ({"original_ids": True}, {"known_ids": known}):
        with pytest.raises(InvalidSettingError, match="id_key_file: is needed for original ids"):
            score_events(replace(request, **changes))
        with pytest.raises(InvalidSettingError, match="id_key_file: is needed for original ids"):
            export_members(replace(members, **changes), "all")
    assert not out.exists()
    assert originals_for(ids, wanted=False, known=None) is None


def test_a_file_of_ids_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Never what stands in it."""
    path = tmp_path / "known.txt"
    path.write_bytes(b"customer-2\n\xff\xfe")
    reasons = {path: "can't be read as text", tmp_path / "none.txt": "can't be read: No such file"}
    for file, reason in reasons.items():
        with pytest.raises(InvalidDataError, match=rf"\.txt: {reason}") as refused:
            list(read_known_ids(file))
        assert "customer-2" not in str(refused.value)
