"""`micromoment score`: the file that it writes, with and without the days before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.lifecycle import Lifecycle
from tests.e2e.conftest import LAST_DAY, TrainedShop
from training.event_files import event_days
from training.pipeline.score import score_days

SCHEMA = {
    "session_id": pa.string(),
    "event_id": pa.string(),
    "event_time": pa.timestamp("us", tz="UTC"),
    "source_seq": pa.int64(),
    "batch_last": pa.bool_(),
    "events_seen": pa.int64(),
    "conversion": pa.float64(),
    "abandonment": pa.float64(),
    "converted": pa.bool_(),
    "churn": pa.float64(),
    "expected_orders": pa.float64(),
    "expected_value_micros": pa.int64(),
    "segment": pa.string(),
    "journey_stage": pa.string(),
    "cluster": pa.string(),
    "audiences": pa.list_(pa.string()),
    "lifecycle": pa.string(),
}
BATCH = ["session_id", "event_time"]
OF_THE_BATCH = list(SCHEMA)[5:]
STAGES = {"learn", "discover", "decide", "do"}
FILLS_CART = {"cart_add", "cart_view", "checkout_start"}


def in_order(scores: pd.DataFrame) -> pd.DataFrame:
    """Sort by session and place, audiences as tuples, which compare and hash."""
    scores = scores.assign(audiences=scores["audiences"].map(tuple))
    return scores.sort_values(["session_id", "source_seq"], ignore_index=True)


@pytest.fixture(scope="module")
def day(shop: TrainedShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the last day alone."""
    folder = tmp_path_factory.mktemp("later")
    shutil.copy(shop.events / f"{LAST_DAY}.parquet", folder)
    return folder


@pytest.fixture(scope="module")
def table(shop: TrainedShop, day: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The scores of the last day, whose days before are given."""
    out = tmp_path_factory.mktemp("scores") / "new" / "scores.parquet"
    which = ("--bundle", shop.tag, "--events", day, "--history", shop.events)
    done = shop.home.succeed("score", *which, "--out", out)
    scores = pq.read_table(out)
    assert f"{len(scores):,} rows" in done.stdout
    return scores


@pytest.fixture(scope="module")
def scores(table: pa.Table, day: Path) -> pd.DataFrame:
    """The same, each row beside its event's type, page type and visitor, by session and place."""
    events = pq.read_table(day).to_pandas()
    events["visitor"] = events["user_id"].fillna(events["anonymous_id"])
    events = events[["session_id", "event_id", "source_seq", "type", "page_type", "visitor"]]
    frame: pd.DataFrame = table.to_pandas().merge(events, validate="one_to_one")
    assert len(frame) == len(table) == len(events)
    return in_order(frame)


@pytest.fixture(scope="module")
def alone(shop: TrainedShop, day: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The scores of the last day as if it were the shop's first."""
    out = tmp_path_factory.mktemp("scores") / "alone.parquet"
    shop.home.succeed("score", "--bundle", shop.tag, "--events", day, "--out", out)
    return in_order(pq.read_table(out).to_pandas())


def test_columns_and_types(table: pa.Table) -> None:
    """The file has the columns in their order and nothing else."""
    found = {field.name: field.type for field in table.schema}
    assert list(found.items()) == list(SCHEMA.items())


def test_one_row_per_event(table: pa.Table, day: Path) -> None:
    """Every event of the input is there once, with its own time and place."""
    own = ["session_id", "event_id", "event_time", "source_seq"]
    events = pq.read_table(day).select(own).to_pandas().sort_values(own, ignore_index=True)
    scores = table.select(own).to_pandas().sort_values(own, ignore_index=True)
    assert_frame_equal(scores, events)


def test_a_batch_carries_the_values_at_its_end(scores: pd.DataFrame) -> None:
    """Its rows are alike, one of them is its last, and that one has the highest place."""
    batches = scores.groupby(BATCH)
    assert (batches.size() > 1).sum() > 100
    assert (batches[OF_THE_BATCH].nunique(dropna=False) == 1).all().all()
    assert (batches["batch_last"].sum() == 1).all()
    last = scores[scores["batch_last"]].set_index(BATCH)["source_seq"]
    assert_series_equal(last.sort_index(), batches["source_seq"].max())
    begun_today = scores[scores["source_seq"] == 1]["session_id"]
    whole = scores[scores["session_id"].isin(begun_today)]
    counted = whole.groupby("session_id").cumcount() + 1
    assert (whole["events_seen"] >= counted)[~whole["batch_last"]].all()
    assert (whole["events_seen"] == counted)[whole["batch_last"]].mean() > 0.9


def test_conversion_is_asked_until_the_order(scores: pd.DataFrame) -> None:
    """It is null exactly where the visit has converted, else a probability that moves."""
    assert (scores["conversion"].isna() == scores["converted"]).all()
    known = scores["conversion"].dropna()
    assert known.between(0, 1, inclusive="neither").all()
    assert known.nunique() > 500
    assert scores[scores["type"] == "purchase"]["converted"].all()
    bought = set(scores[scores["type"] == "purchase"]["session_id"])
    begun_today = set(scores[scores["source_seq"] == 1]["session_id"])
    converted = set(scores[scores["converted"]]["session_id"])
    assert bought & begun_today == converted & begun_today
    assert len(bought) > 10


def test_abandonment_is_the_rest_while_the_cart_is_filled(scores: pd.DataFrame) -> None:
    """It is 1 - conversion to the bit, there after an addition, and not before any."""
    there = scores["abandonment"].notna()
    assert (scores["abandonment"] == 1 - scores["conversion"])[there].all()
    assert not (there & scores["converted"]).any()
    # As of the end of the batch: an addition may be any of its rows.
    batch = [scores[name] for name in BATCH]
    adds = (scores["type"] == "cart_add").groupby(batch).transform("any")
    removes = (scores["type"] == "cart_remove").groupby(batch).transform("any")
    just_added = adds & ~removes & ~scores["converted"]
    assert there[just_added].all()
    assert just_added.sum() > 50
    fills = scores["type"].isin(FILLS_CART) | (scores["page_type"] == "cart")
    so_far = fills.groupby(batch).transform("any").groupby(scores["session_id"]).cummax()
    begun_today = scores["session_id"].isin(scores[scores["source_seq"] == 1]["session_id"])
    assert not there[begun_today & ~so_far].any()


def test_what_the_bundle_cannot_answer_is_null(scores: pd.DataFrame) -> None:
    """Churn waits for its model; the journey stage is one of four words."""
    assert scores["churn"].isna().all()
    assert set(scores["journey_stage"]) == STAGES


def test_every_row_has_its_segments(shop: TrainedShop, scores: pd.DataFrame) -> None:
    """A cluster of the bundle, its audiences in their order, and the first of them as segment."""
    bundle = load_bundle(shop.bundle)
    assert bundle.clusters is not None
    assert bundle.audiences is not None
    assert set(scores["cluster"]) == {one.id for one in bundle.clusters.file.clusters}
    order = [one.id for one in bundle.audiences.file.audiences]
    for audiences in scores["audiences"]:
        assert list(audiences) == sorted(audiences, key=order.index)
    first = scores["audiences"].map(lambda found: found[0] if len(found) else None)
    assert (scores["segment"] == first.fillna(scores["cluster"])).all()
    assert scores["audiences"].map(len).between(1, 5).any()
    assert set(scores["lifecycle"]) <= {one.value for one in Lifecycle}
    assert (scores["lifecycle"] == "new").any()


def test_history_changes_what_is_known_of_the_user_only(
    shop: TrainedShop, scores: pd.DataFrame, alone: pd.DataFrame
) -> None:
    """Strangers score to the same bits without it; of known visitors what happens does not change.

    Their probabilities do, and the audiences that ask about earlier visits.
    """
    before = [path for day, path in event_days(shop.events).files.items() if day < LAST_DAY]
    earlier = pd.concat(pq.read_table(path).to_pandas() for path in before)
    known = scores["visitor"].isin({*earlier["user_id"], *earlier["anonymous_id"]})
    sessions = scores[known]["session_id"]
    strange = ~scores["session_id"].isin(sessions)
    columns = list(SCHEMA)
    assert_frame_equal(scores[strange][columns], alone[strange], check_exact=True)
    begun_today = ~scores["session_id"].isin(earlier["session_id"])
    of_history = {"conversion", "abandonment", "segment", "audiences", "lifecycle"}
    rest = [name for name in columns if name not in of_history]
    assert_frame_equal(scores[begun_today][rest], alone[begun_today][rest])
    returning = known & begun_today & ~scores["converted"]
    assert returning.sum() > 100
    assert (scores["conversion"] != alone["conversion"])[returning].mean() > 0.5


def test_a_day_split_off_scores_as_in_its_folder(shop: TrainedShop, scores: pd.DataFrame) -> None:
    """`--history` and a folder that holds all days, as evaluation reads it, give the same bits."""
    whole = score_days(load_bundle(shop.bundle), event_days(shop.events), LAST_DAY)
    frame = in_order(whole.to_pandas())
    columns = list(SCHEMA)
    assert_frame_equal(frame[columns], scores[columns], check_exact=True)
