"""Members of an audience: who was in it, when, and who may be exported."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.schema import EVENT_SCHEMA
from tests.support.scored_points import START, scored_rows
from training.audiences.csv_file import write_members
from training.audiences.members import COLUMNS, Members, members_of, with_people
from training.audiences.people import read_people
from training.event_files import event_days

X = ["x"]


def minute(at: int) -> pd.Timestamp:
    """Give the time of a row."""
    return pd.Timestamp(START + timedelta(minutes=at))


def test_who_was_in_it_at_any_point() -> None:
    """With the first and the last time, the visits that were in it, and the last point's scores."""
    found = members_of(
        scored_rows(
            {"session": "a1", "visitor": "a", "audiences": X, "conversion": 0.5},
            {"session": "b", "audiences": []},
            {"session": "a1", "visitor": "a", "audiences": ["y", "x"], "conversion": 0.4},
            {"session": "a2", "visitor": "a", "audiences": X, "churn": 0.7},
            {"session": "a3", "visitor": "a", "conversion": 0.1, "lifecycle": "engaged"},
            {"session": "c", "audiences": X, "batch_last": False},
        ),
        "x",
    )
    assert (found.points, found.visitors) == (5, 2)
    (member,) = found.frame.reset_index().to_dict("records")
    assert member["visitor_id"] == "a"
    assert (member["first_time"], member["last_time"]) == (minute(0), minute(3))
    assert (member["visits"], member["conversion"], member["lifecycle"]) == (2, 0.1, "engaged")
    assert pd.isna(member["churn"])


def test_who_is_in_it_at_the_end() -> None:
    """The visitor's last point of the period decides, whichever visit it is of."""
    table = scored_rows(
        {"session": "a1", "visitor": "a", "audiences": X},
        {"session": "b", "audiences": []},
        {"session": "a2", "visitor": "a", "audiences": []},
        {"session": "b", "audiences": X},
    )
    assert list(members_of(table, "x").frame.index) == ["a", "b"]
    assert list(members_of(table, "x", at_end=True).frame.index) == ["b"]
    assert len(members_of(table, "nobody").frame) == 0


def events(folder: Path, *rows: dict[str, Any]) -> Path:
    """Write a day of events, one a minute."""
    full = [
        {"event_id": f"e{place}", "type": "page_view", "session_id": "s", "source_seq": place + 1,
         "event_time": START + timedelta(minutes=place), **row}
        for place, row in enumerate(rows)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(full, EVENT_SCHEMA), folder / "2024-05-01.parquet")
    return folder


def denied(*answers: str | None, anonymous: str = "a") -> list[dict[str, Any]]:
    """Answer about personalization, one event after the other."""
    return [{"anonymous_id": anonymous, "consent_personalization": one} for one in answers]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([None], False),
        (["denied"], True),
        (["denied", None], True),
        (["denied", "granted"], False),
        (["granted", "denied", None], True),
    ],
)
def test_the_last_answer_counts(
    tmp_path: Path, answers: list[str | None], *, expected: bool
) -> None:
    """An event that says nothing changes none; who never answered has not denied."""
    people = read_people(event_days(events(tmp_path, *denied(*answers))))
    assert bool(people.loc["a", "denied_personalization"]) is expected


def test_at_one_moment_a_denial_wins(tmp_path: Path) -> None:
    """Events of one moment have no order to go by."""
    rows = [{**one, "event_time": START} for one in denied("denied", "granted")]
    people = read_people(event_days(events(tmp_path, *rows)))
    assert people.loc["a", "denied_personalization"]


def test_people_go_by_user_id_else_anonymous_id(tmp_path: Path) -> None:
    """As scores do, encoded where they are; ids of the events stay as they come."""
    folder = events(
        tmp_path,
        {"anonymous_id": "a", "user_id": ""},
        {"anonymous_id": "b", "user_id": "u"},
        {"anonymous_id": "c", "user_id": "u", "is_bot": True, "consent_gpc": True},
    )
    people = read_people(event_days(folder))
    assert list(people.index) == ["a", "u"]
    assert people[["user_id", "anonymous_id"]].to_numpy().tolist()[1] == ["u", "c"]
    assert people[["is_bot", "opted_out"]].to_numpy().tolist()[1] == [True, True]
    ids = IdEncoder([IdKey("k1", b"secret")])
    encoded = read_people(event_days(folder), ids)
    assert encoded.loc[ids.encode("u"), "user_id"] == "u"


def of_visitors(*visitors: str) -> Members:
    """Make members."""
    rows = [{"session": one, "visitor": one, "audiences": X} for one in visitors]
    return members_of(scored_rows(*rows), "x")


def test_who_denied_is_left_out_and_counted(tmp_path: Path) -> None:
    """Bots, and who denied analytics or personalization; for ads more denials count."""
    folder = events(
        tmp_path,
        {"anonymous_id": "fine"},
        {"anonymous_id": "bot", "is_bot": True, "consent_personalization": "denied"},
        {"anonymous_id": "unseen", "consent_analytics": "denied"},
        {"anonymous_id": "private", "consent_personalization": "denied"},
        {"anonymous_id": "no-ads", "consent_ads": "denied"},
        {"anonymous_id": "gpc", "consent_gpc": True},
    )
    people = read_people(event_days(folder))
    members = of_visitors(*people.index)
    found = with_people(members, people)
    assert list(found.frame["visitor_id"]) == ["fine", "gpc", "no-ads"]
    assert found.left_out == {"bots": 1, "analytics denied": 1, "personalization denied": 1}
    for_ads = with_people(members, people, for_ads=True)
    assert list(for_ads.frame["visitor_id"]) == ["fine"]
    assert sum(for_ads.left_out.values()) == 5


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(tmp_path: Path, begin: str) -> None:
    """An apostrophe makes text of what a spreadsheet would compute; how many is told."""
    visitor = f'{begin}HYPERLINK("http://x","a,b")'
    people = read_people(event_days(events(tmp_path, {"anonymous_id": visitor})))
    file = io.StringIO(newline="")
    guarded = write_members(with_people(of_visitors(visitor), people).frame, file)
    assert guarded == 2  # the visitor's id and the anonymous one
    frame = pd.read_csv(io.StringIO(file.getvalue(), newline=""))
    assert list(frame.columns) == list(COLUMNS)
    assert frame.loc[0, "visitor_id"] == f"'{visitor}"


def test_cells_are_plain(tmp_path: Path) -> None:
    """Times in UTC to the second, probabilities with six digits, nothing for what is missing."""
    people = read_people(event_days(events(tmp_path, {"anonymous_id": "a"})))
    rows = scored_rows({"session": "a", "audiences": X, "conversion": 1e-6})
    file = io.StringIO()
    assert write_members(with_people(members_of(rows, "x"), people).frame, file) == 0
    assert file.getvalue().splitlines() == [
        ",".join(COLUMNS),
        "a,,a,2024-05-01T10:00:00Z,2024-05-01T10:00:00Z,1,0.000001,,new",
    ]
