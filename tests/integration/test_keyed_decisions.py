"""What a training with keys leaves of plain events: no id as it was."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from micromoment.errors import NotEnoughDataError
from tests.support.feature_stores import SHOP, day
from tests.support.happenings import Happening, moment, write_events
from tests.support.keyed import BEFORE, encoder
from training.pipeline import TrainRequest, train
from training.pipeline.blocks import MIN_DAYS

SESSIONS = [f"visit-{number}" for number in range(MIN_DAYS + 1)]


def events_of(folder: Path) -> Path:
    """Write a visit a day, of two events, and no order: too little to learn from."""
    happenings = [
        Happening(
            moment(day(number), shop=SHOP) + timedelta(seconds=seq),
            anonymous_id=f"browser-{number % 3}",
            session_id=session,
            source_seq=seq,
        )
        for number, session in enumerate(SESSIONS)
        for seq in (1, 2)
    ]
    return write_events(folder, happenings, SHOP)


@pytest.mark.parametrize("keys", ["", BEFORE], ids=["without keys", "with keys"])
def test_decision_points_name_visitors_and_visits_alike(tmp_path: Path, keys: str) -> None:
    """As they are stored anywhere else; without keys as they are in the events."""
    ids = encoder(keys)
    events, workspace = events_of(tmp_path / "events"), tmp_path / "features"
    request = TrainRequest(
        events, workspace, store=tmp_path / "store", shop=SHOP, ids=ids, workers=1, lint=False
    )
    with pytest.raises(NotEnoughDataError):
        train(request)
    (file,) = (workspace / "decisions").glob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert {one["session_id"] for one in rows} == set(map(ids.encode, SESSIONS))
    assert {one["visitor_id"] for one in rows} == {ids.encode(f"browser-{n}") for n in range(3)}
    assert {one["decision_id"] for one in rows} == {
        f"{ids.encode(session)}:{place}" for session in SESSIONS for place in (1, 2)
    }
