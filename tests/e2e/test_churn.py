"""A shop that knows nothing but its orders: a bundle with churn alone, trained, judged, served."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from io import StringIO
from math import exp
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from micromoment.client import Client, event
from micromoment.errors import NotEnoughDataError
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.golden import check_golden
from micromoment.stores.bundles import find_bundle
from micromoment.v1 import events_pb2
from tests.support.bundles import made_up_rows
from tests.support.happenings import moment, write_events
from tests.support.shoppers import SHOP, customers
from training.card import write_card
from training.churn.table import churn_table
from training.pipeline import (
    EvaluateRequest,
    ScoreRequest,
    TrainRequest,
    evaluate_all,
    gather_card,
    score_events,
    train,
)
from training.pipeline.evaluate import Evaluations
from training.server_process import ServerProcess

FIRST = date(2021, 1, 1)
DAYS = 44
UNTIL = FIRST + timedelta(days=29)
CUSTOMERS = 3_500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the orders of 44 days and a bundle that was trained on 30 of them."""
    folder = tmp_path_factory.mktemp("orders")
    write_events(folder / "events", customers(FIRST, DAYS, CUSTOMERS), SHOP)
    train(request(folder, UNTIL))
    return folder


def request(folder: Path, until: date) -> TrainRequest:
    """Ask for training until a day."""
    return TrainRequest(
        events=folder / "events",
        workspace=folder / "features",
        until=until,
        store=folder / "store",
        shop=SHOP,
        workers=1,
    )


@pytest.fixture(scope="module")
def bundle(folder: Path) -> LoadedBundle:
    """The bundle."""
    return load_bundle(find_bundle(folder / "store", "shop:latest"))


@pytest.fixture(scope="module")
def judged(folder: Path, bundle: LoadedBundle) -> Evaluations:
    """Its evaluation on the days after."""
    return evaluate_all(evaluation_request(folder, bundle))


def evaluation_request(folder: Path, bundle: LoadedBundle) -> EvaluateRequest:
    """Ask for an evaluation on the days after training."""
    return EvaluateRequest(
        bundle.path,
        folder / "events",
        UNTIL + timedelta(days=1),
        churn_every=3,
        workers=1,
        bootstrap=50,
    )


def test_the_bundle_has_churn_alone(bundle: LoadedBundle) -> None:
    """It says why it has no conversion, what it predicts instead, and who counts as away."""
    manifest = bundle.manifest
    assert bundle.conversion is None
    assert "precedes the first order" in manifest.absent["conversion"]
    assert bundle.churn is not None
    assert bundle.churn.target == "purchase"
    assert 4 <= bundle.churn.horizon_days <= 14
    assert manifest.lifecycle.away_days == bundle.churn.horizon_days
    record = manifest.training["churn"]
    assert record["last_window_ends"] <= (UNTIL + timedelta(days=1)).isoformat()
    assert "churn" not in manifest.absent
    assert check_golden(bundle).inexact == 0


def test_it_finds_who_leaves(judged: Evaluations) -> None:
    """On later cuts it ranks far better than chance, as well as BG/NBD does nearly."""
    assert judged.visits is None
    assert any("no conversion model" in note for note in judged.notes)
    assert judged.churn is not None
    scores = {score.name: score for score in judged.churn.scores}
    assert set(scores) == {"model", "recency", "logistic", "bg_nbd"}
    model = scores["model"].pooled
    assert model.roc_auc > 0.7
    assert model.roc_auc > scores["bg_nbd"].pooled.roc_auc - 0.02
    assert model.ece < 0.1
    assert {group.name for group in judged.churn.groups} == {"one-time buyers", "returning buyers"}
    assert sum(group.n for group in judged.churn.groups) == judged.churn.n


def test_it_foresees_what_comes(judged: Evaluations) -> None:
    """Expected orders and values are as many as come, and nearer than the last year carried on."""
    assert judged.churn is not None
    orders, value = judged.churn.coming
    assert orders.expected == pytest.approx(orders.observed, rel=0.15)
    assert value.expected == pytest.approx(value.observed, rel=0.15)
    assert orders.mae < orders.mae_naive
    assert orders.tenths[0].observed < orders.tenths[-1].observed
    assert len(judged.churn.cuts) >= 2


def test_it_is_written_and_drawn(
    judged: Evaluations, folder: Path, bundle: LoadedBundle, tmp_path: Path
) -> None:
    """JSON and card hold churn's figures, the curve of times to the next order among them."""
    assert judged.churn is not None
    page = write_card(gather_card(evaluation_request(folder, bundle), judged), tmp_path)
    values = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert values["churn"]["scores"][0]["name"] == "model"
    shares = values["churn"]["time_to_next_order"]["share"]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    text = page.read_text(encoding="utf-8")
    assert "<b>Conversion.</b> No model: none of the" in text
    for part in ("quality", "money", "funnel", "drift"):  # there are no visits to speak of
        assert f"id='{part}'" not in text
    assert all(f"plot-churn-{name}" in text for name in (
        "cuts", "reliability", "level", "survival", "orders", "value",
    ))  # fmt: skip
    assert "one-time buyers" in text
    Console(width=80, file=StringIO()).print(churn_table(judged.churn))


def test_one_by_one_or_many_at_once_it_says_the_same(bundle: LoadedBundle) -> None:
    """Churn, orders and value have the same bits, whatever else is asked about at once."""
    assert bundle.churn is not None
    rows, _ = made_up_rows()
    rows = rows[bundle.churn.speaks_of(rows)]
    together = bundle.churn.prospects(rows)
    assert len(together) > 20
    assert together == [
        bundle.churn.prospects(rows[place : place + 1])[0] for place in range(len(rows))
    ]
    assert all(one.coming is not None for one in together)
    assert bundle.churn.prospects(rows[:0]) == []


def test_a_file_of_orders_is_scored(folder: Path, bundle: LoadedBundle, tmp_path: Path) -> None:
    """After each order there is a churn, and no conversion."""
    out = tmp_path / "scores.parquet"
    rows = score_events(ScoreRequest(bundle.path, folder / "events", out, workers=1))
    scores = pq.read_table(out)
    assert len(scores) == rows > 1_000
    assert scores["conversion"].null_count == rows
    assert scores["churn"].null_count == 0
    assert min(scores["expected_orders"].to_pylist()) > 0
    # An order of this shop is worth 10.
    worth = scores["expected_value_micros"].to_numpy() / scores["expected_orders"].to_numpy()
    assert worth == pytest.approx(10e6, rel=0.1)


def test_a_server_serves_it(folder: Path, bundle: LoadedBundle, tmp_path: Path) -> None:
    """Churn is there for customers, absent before a first order; an order changes it at once."""
    settings: dict[str, str | Path | float] = {
        "bundle": bundle.tag,
        "bundle_store": folder / "store",
        "feature_store": folder / "features",
        "state_dir": tmp_path,
        "user_feature_timeout": 20.0,
        "default_deadline": 60.0,
        "drain_lag": 0.0,
    }
    now = moment(UNTIL + timedelta(days=1), 9, shop=SHOP)
    orders = [one for one in customers(FIRST, DAYS, CUSTOMERS) if one.at < now]
    old = min(orders, key=lambda one: one.at).user_id or ""
    with (
        ServerProcess(settings, tmp_path / "server.log") as server,
        Client(server.address, deadline_s=60.0) as client,
    ):
        known = client.score("s1", [_view(now)], user_id=old, explain=True)
        bought = client.score("s1", [_order(now + timedelta(minutes=1))], user_id=old)
        nobody = client.score("s2", [_view(now)], user_id="nobody-yet", explain=True)
        first = client.score("s2", [_order(now + timedelta(minutes=1))], user_id="nobody-yet")
    assert bundle.churn is not None
    assert known.churn.target == "purchase"
    assert known.churn.horizon_days == bundle.churn.horizon_days
    assert 0 < bought.churn.probability < known.churn.probability < 1
    assert known.churn.expected_orders < bought.churn.expected_orders
    # The visit's order was worth 25, those before 10 each.
    assert 10e6 < bought.churn.expected_value_micros / bought.churn.expected_orders < 25e6
    assert not nobody.HasField("churn")
    assert first.HasField("churn")
    assert not known.HasField("conversion")
    assert known.churn_reasons
    assert all(reason.group and reason.sentence for reason in known.churn_reasons)
    told = sum(reason.contribution for reason in known.churn_reasons)
    totals = known.churn_reason_totals
    log_odds = totals.base + told + totals.other
    assert 1 / (1 + exp(-log_odds)) == pytest.approx(known.churn.probability, abs=1e-9)
    assert not known.reasons
    assert not nobody.churn_reasons
    assert not known.evidence.abstain


def test_neither_model_is_an_error_with_both_reasons(folder: Path) -> None:
    """A few days of orders are too little for either; the message has each reason."""
    with pytest.raises(NotEnoughDataError, match=r"conversion: .*; churn: .*customers ordered"):
        train(request(folder, FIRST + timedelta(days=5)))


def _view(at: datetime) -> events_pb2.Event:
    return event("page_view", page="/", page_type="home", event_time=at)


def _order(at: datetime) -> events_pb2.Event:
    return event("purchase", value="25", currency="EUR", order_id="o1", event_time=at)
