"""Who has said no since: told by a hash, and left out of lists of an audience."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from tests.support.segment_calls import DAY, imported, track
from training.audiences.people import read_people
from training.event_files import event_days
from training.importers.denials import read_denials, stage_denials, visitor_hash
from training.importers.event_folder import event_folder

NO = {"consent": {"categoryPreferences": {"Analytics": False}}}
YES = {"consent": {"categoryPreferences": {"Analytics": True}}}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([None], False),
        ([None, NO], True),
        ([YES, None, NO, None], True),
        ([NO, YES], False),
        ([NO, None], True),
    ],
)
def test_a_dropped_denial_counts(
    tmp_path: Path, answers: list[dict[str, object] | None], *, expected: bool
) -> None:
    """A visitor whose last answer was dropped has denied, until they grant it again."""
    calls = [
        track("Cart Viewed", place, anonymousId="person-1", context=answer)
        for place, answer in enumerate(answers)
    ]
    imported(tmp_path, calls)
    people = read_people(event_days(tmp_path / "events"))
    assert bool(people.loc["person-1", "denied_analytics"]) is expected


def test_who_only_denied_leaves_no_id(tmp_path: Path) -> None:
    """No file of the import holds the visitor of dropped rows."""
    calls = [
        track("Cart Viewed", 0, anonymousId="person-1", context=NO),
        track("Cart Viewed", 1, anonymousId="person-2"),
    ]
    imported(tmp_path, calls)
    files = [path for path in (tmp_path / "events").rglob("*") if path.is_file()]
    assert not any(b"person-1" in path.read_bytes() for path in files)
    assert any(b"person-2" in path.read_bytes() for path in files)
    last = datetime.fromisoformat(f"{DAY}T12:00:00+00:00").timestamp() * 1_000_000
    assert read_denials(tmp_path / "events") == {visitor_hash("person-1"): int(last)}


def test_the_last_time_counts(tmp_path: Path) -> None:
    """Of one day and of several."""
    first, second = date(2024, 5, 1), date(2024, 5, 2)
    with event_folder(tmp_path) as folder:
        stage_denials(folder, [("a", first, 5), ("a", first, 3), ("a", second, 9), ("b", first, 1)])
        folder.publish()
    assert read_denials(tmp_path) == {visitor_hash("a"): 9, visitor_hash("b"): 1}
