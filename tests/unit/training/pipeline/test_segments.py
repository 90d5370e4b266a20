"""Segments of files are settled along each visit as serving settles them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.scoring.outcome import Outcome
from micromoment.stores.sessions import MemorySessionStore
from tests.support.bundles import bundle_parts
from tests.support.calls import a_call
from tests.support.events import DAY, AnEvent, to_table
from tests.support.folding import replay
from tests.support.scoring import StoringScorer
from tests.support.segments import some_audiences, two_clusters
from tests.support.visits import made_up_visits
from training.pipeline.score import score_table
from training.pipeline.segments import segment_columns
from training.publishing.bundle import write_bundle
from training.replay.decisions import decision_table
from training.replay.labels import label_batches
from training.replay.sessions import group_by_session

FEW, MANY = 3, 7
FULL_CART, DEEP, NEW = 1 << 4, 1 << 0, 1 << 9


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> LoadedBundle:
    """A bundle with two clusters and three audiences."""
    folder = tmp_path_factory.mktemp("segmented") / "bundle"
    write_bundle(folder, bundle_parts(clusters=two_clusters(), audiences=some_audiences()))
    return load_bundle(folder)


def settled(bundle: LoadedBundle, *rows: dict[str, Any]) -> dict[str, list[Any]]:
    """Settle rows, in the order given; one a minute of session s unless it says otherwise."""
    start = datetime(2024, 5, 1, tzinfo=UTC)
    table = pa.table(
        {
            "session_id": [row.get("session", "s") for row in rows],
            "epoch": [row.get("epoch", 0) for row in rows],
            "event_time": pa.array(
                [start + timedelta(minutes=row.get("at", n)) for n, row in enumerate(rows)],
                pa.timestamp("us", tz="UTC"),
            ),
            "source_seq": [row.get("seq", n + 1) for n, row in enumerate(rows)],
            "events_seen": [row.get("seen", n + 1) for n, row in enumerate(rows)],
            "converted": [row.get("converted", False) for row in rows],
        }
    )
    outcomes = [
        Outcome(None, None, None, row["cluster"], row.get("bits", 0), Lifecycle.NEW) for row in rows
    ]
    columns = segment_columns(bundle, table, outcomes)
    return {name: column.to_pylist() for name, column in columns.items()}


def test_two_points_have_to_agree(bundle: LoadedBundle) -> None:
    """A cluster changes at the second point that says so, an audience too."""
    found = settled(
        bundle,
        {"cluster": FEW, "bits": NEW},
        {"cluster": MANY, "bits": NEW | DEEP},
        {"cluster": MANY, "bits": NEW | DEEP},
    )
    assert found["cluster"] == ["few", "few", "many"]
    assert found["audiences"] == [["newcomers"], ["newcomers"], ["deep-lookers", "newcomers"]]
    assert found["segment"] == ["newcomers", "newcomers", "deep-lookers"]


def test_without_an_audience_the_segment_is_the_cluster(bundle: LoadedBundle) -> None:
    """The list is empty then, never null."""
    found = settled(bundle, {"cluster": MANY})
    assert found == {"cluster": ["many"], "audiences": [[]], "segment": ["many"]}


def test_a_batch_is_one_point(bundle: LoadedBundle) -> None:
    """Its rows share a time and what holds at its end; they don't agree with themselves."""
    first = {"cluster": FEW, "at": 0, "seen": 1}
    batch = {"cluster": MANY, "at": 1, "seen": 4}
    found = settled(bundle, first, batch, batch, batch)
    assert found["cluster"] == ["few"] * 4
    found = settled(bundle, first, batch, batch, {"cluster": MANY, "at": 2, "seen": 5})
    assert found["cluster"] == ["few", "few", "few", "many"]


def test_repeats_are_no_point(bundle: LoadedBundle) -> None:
    """A batch in which nothing new was seen leaves the visit where it was."""
    found = settled(
        bundle,
        {"cluster": FEW, "seen": 1},
        {"cluster": MANY, "seen": 2},
        {"cluster": MANY, "seen": 2},
        {"cluster": MANY, "seen": 3},
    )
    assert found["cluster"] == ["few", "few", "few", "many"]


def test_visits_and_sessions_settle_apart(bundle: LoadedBundle) -> None:
    """Sessions may interleave, and one that began afresh after a gap starts anew."""
    found = settled(
        bundle,
        {"cluster": FEW, "session": "a", "seen": 1},
        {"cluster": MANY, "session": "b", "seen": 1},
        {"cluster": MANY, "session": "a", "seen": 2},
        {"cluster": FEW, "session": "b", "seen": 2},
        {"cluster": MANY, "session": "a", "seen": 1, "epoch": 1},
    )
    assert found["cluster"] == ["few", "many", "few", "many", "many"]


def test_rows_may_come_in_any_order(bundle: LoadedBundle) -> None:
    """What counts is time and place, and each row gets its own values."""
    found = settled(
        bundle,
        {"cluster": MANY, "at": 3, "seen": 3},
        {"cluster": FEW, "at": 1, "seen": 1},
        {"cluster": MANY, "at": 2, "seen": 2},
    )
    assert found["cluster"] == ["many", "few", "few"]


def test_a_bundle_without_either_has_nulls(tiny_bundle: LoadedBundle) -> None:
    """There is no cluster and no audience to name."""
    found = settled(tiny_bundle, {"cluster": 0})
    assert found == {"cluster": [None], "audiences": [[]], "segment": [None]}


def online(bundle: LoadedBundle, events: list[AnEvent]) -> list[tuple[Any, ...]]:
    """Send each session's events one by one; gives what the last answer of each moment says."""
    store = MemorySessionStore(max_sessions=100, ttl_s=3_600)
    scorer = StoringScorer(bundle, store, max_user_feature_age_us=2 * DAY)
    found = []
    moments: dict[tuple[str, int], list[AnEvent]] = {}
    for event in events:
        moments.setdefault((event.session_id, event.event_time), []).append(event)
    for (session_id, _), batch in moments.items():
        score = scorer.score(a_call(batch, key=SessionKey("default", session_id)))
        audiences = [one.id for one in score.audiences]
        cluster = score.cluster.id if score.cluster else None
        segment = score.segment.id if score.segment else None
        answer = (cluster, audiences, segment, score.lifecycle.value, score.journey_stage)
        found += [(event.session_id, event.event_id, *answer[:4]) for event in batch]
    return found


def offline(bundle: LoadedBundle, events: list[AnEvent]) -> list[tuple[Any, ...]]:
    """Replay them from a table and score the rows."""
    table = to_table(events).append_column("wanted", pa.array([True] * len(events)))
    grouped = group_by_session(table, bundle.shop)
    moments, features = replay(grouped.batch, grouped.session_of.tolist(), tables=bundle.tables)
    labels = label_batches(grouped, moments)
    rows = decision_table(grouped, moments, features, labels, bundle.shop, None)
    scored = score_table(bundle, rows)
    names = ("session_id", "event_id", "cluster", "audiences", "segment", "lifecycle")
    return list(zip(*(scored[name].to_pylist() for name in names), strict=True))


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), drop=st.integers(0, 6))
def test_files_and_serving_agree(bundle: LoadedBundle, seed: int, drop: int) -> None:
    """Over random visits, batches and gaps every row says what the answers said."""
    events = made_up_visits(8, seed=seed)
    random = np.random.default_rng(seed)
    events = [event for event in events if random.integers(0, 9) >= drop]
    assert sorted(offline(bundle, events)) == sorted(online(bundle, events))


def test_the_agreement_is_about_something(bundle: LoadedBundle) -> None:
    """Visits of that kind change cluster and audiences, and some points are held back."""
    events = made_up_visits(40, seed=1)
    found = offline(bundle, events)
    assert {row[2] for row in found} == {"few", "many"}
    assert {one for row in found for one in row[3]} == {"full-carts", "deep-lookers", "newcomers"}
