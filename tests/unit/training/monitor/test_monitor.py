"""From a log to live figures: what is joined, what waits, what is left out, what is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from micromoment.errors import BundleError, NotEnoughDataError
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.v1 import events_pb2
from micromoment.v1 import log_pb2 as pb
from tests.support.log_rows import START_S, a_visit
from tests.support.planted_shop import an_order, planted_store, planted_visits
from training.monitor import LiveReport, MonitorRequest, monitor
from training.monitor.page import render_page, verdict
from training.monitor.served import Reservoir, ServedScores, read_served
from training.monitor.textfile import write_textfile
from training.publishing.store import point_to

BEGAN = RowKind.BEGAN
HOUR_S = 3_600.0
DAY_S = 86_400.0
VISITS = 3_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with a bundle that has measured itself on the planted shop."""
    folder = tmp_path_factory.mktemp("store")
    return folder, planted_store(folder)


def look(store: tuple[Path, str], visits: Iterable[LoggedVisit], **options: Any) -> LiveReport:  # noqa: ANN401
    """Monitor a log that ends two days after its last visit."""
    return monitor(MonitorRequest(ended(visits), (), store[0], **options))


def ended(visits: Iterable[LoggedVisit]) -> Iterable[LoggedVisit]:
    """Let one more visitor come two days after all others."""
    last = 0
    for visit in visits:
        last = max(last, visit.received_time_us)
        yield visit
    yield a_visit(10**9, "late", "1", kind=BEGAN, received_s=last / 1e6 - START_S + 2 * DAY_S)


def scored(
    position: int,
    session_id: str,
    *event_ids: str,
    conversion: float = 0.1,
    **fields: Any,  # noqa: ANN401
) -> LoggedVisit:
    """Make a call that was answered."""
    score = pb.LoggedScore(score_id=f"id{position}", conversion=conversion, events_seen=position)
    return a_visit(position, session_id, *event_ids, score=score, **fields)


def told(event: events_pb2.Event, visitor_id: str = "v", at_s: float = DAY_S) -> LoggedEvent:
    """Let the order service tell of an event."""
    received_us = round((START_S + at_s) * 1e6)
    return LoggedEvent(
        received_us, "default", visitor_id, event.event_id, event.SerializeToString()
    )


def read(visits: Sequence[LoggedVisit], *outside: LoggedEvent) -> ServedScores:
    """Read a small log."""
    return read_served(visits, outside, vector_days=7)


def ordered(served: ServedScores) -> list[bool]:
    """Tell of each score whether its visit had an order."""
    return [
        served.visits[row["session"].item(), row["epoch"].item()].ordered_us is not None
        for row in served.scores
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_an_unchanged_shop_is_as_good_as_the_bundle(store: tuple[Path, str], seed: int) -> None:
    """Figures are judged and none has dropped; features and scores lie where they did."""
    report = look(store, planted_visits(store[1], seed, VISITS))
    assert report.tag == store[1]
    assert not report.degraded
    assert len(report.judged) >= 6
    assert report.scores["settled"] > VISITS
    assert report.orders["kept"] > 100
    assert len(report.windows) == 5  # of UTC
    assert max(one.psi for one in report.shifts) < 0.05
    assert report.score_shift is not None
    assert report.score_shift.psi < 0.05
    assert verdict(report).startswith("No figure")


@pytest.mark.parametrize("seed", [4])
@pytest.mark.parametrize("world", [{"shift": -0.7}, {"shift": 0.7}, {"blindness": 0.8}])
def test_a_shop_that_has_changed_is_told(
    store: tuple[Path, str], seed: int, world: dict[str, Any]
) -> None:
    """Half or twice as many orders, or scores that know little, raise it."""
    report = look(store, planted_visits(store[1], seed, VISITS, **world))
    assert report.degraded
    assert verdict(report).startswith("Dropped")


def test_a_feature_that_moved_is_named(store: tuple[Path, str]) -> None:
    """Its index is far above those of the others."""
    report = look(store, planted_visits(store[1], 1, 600, moved=1.0))
    first, *others = report.shifts
    assert first.name == "n_events"
    assert first.psi > 0.5
    assert all(one.psi < 0.1 for one in others)


def test_gauges_and_page_say_the_same(store: tuple[Path, str], tmp_path: Path) -> None:
    """The file parses as Prometheus reads it, the page names what has dropped."""
    path = tmp_path / "live.prom"
    for shift, degraded in ((0.0, 0.0), (-0.7, 1.0)):
        report = look(store, planted_visits(store[1], 5, VISITS, shift=shift))
        write_textfile(path, report)
        gauges = {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(path.read_text())
            for sample in family.samples
        }
        assert gauges["micromoment_live_degraded", ()] == degraded
        assert gauges["micromoment_live_bundle_info", (store[1],)] == 1
        assert gauges["micromoment_live_scores", ("settled",)] == report.scores["settled"]
        (row,) = [one for one in report.windows[-1].rows if one.k == 3]
        assert gauges["micromoment_live_pr_auc", ("3",)] == row.live.pr_auc
        ratio = gauges["micromoment_live_calibration_ratio", ("3",)]
        assert ratio == row.live.predicted_over_observed
        assert {name[1][0] for name in gauges if name[0] == "micromoment_feature_psi"} == {
            "n_events",
            "cart_qty",
        }
        assert len([one for one in gauges if one[0] == "micromoment_live_judged"]) == len(
            report.judged
        )
        page = render_page(report)
        assert ("<b>dropped</b>" in page) == bool(degraded)
        assert "http://" not in page.split("<body>")[1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_score_is_pending_until_orders_could_be_told(store: tuple[Path, str]) -> None:
    """A visit's expiry and the time that the order service may take must be over."""
    visits = [
        scored(1, "old", "1", kind=BEGAN, bundle=store[1]),
        scored(2, "new", "1", kind=BEGAN, received_s=DAY_S + HOUR_S / 2 + 1, bundle=store[1]),
    ]
    request = MonitorRequest(visits, (), store[0])
    assert monitor(request).scores == {"settled": 1, "pending": 1}
    request = MonitorRequest(visits[:1], (), store[0])
    report = monitor(request)
    assert report.scores == {"settled": 0, "pending": 1}
    assert report.last is None
    assert "Not judged" in verdict(report)


def test_an_order_of_the_order_service_belongs_to_the_visit_before_it() -> None:
    """By visitor and time: up to the visit's expiry, and to nobody else's visit."""
    visits = [
        scored(1, "a", "1", kind=BEGAN, visitor_id="v"),
        scored(2, "b", "1", kind=BEGAN, visitor_id="w"),
        scored(3, "c", "1", kind=BEGAN, visitor_id="v", received_s=5 * HOUR_S),
    ]
    assert ordered(read(visits, told(an_order("o1", 1_700)))) == [True, False, False]
    assert ordered(read(visits, told(an_order("o1", 1_900)))) == [False, False, False]
    assert ordered(read(visits, told(an_order("o1", 5 * HOUR_S)))) == [False, False, True]
    assert ordered(read(visits, told(an_order("o1", 10), "x"))) == [False, False, False]


def test_an_order_told_twice_is_the_visits() -> None:
    """The order service's copy of a visit's order says nothing of another visit."""
    visits = [
        scored(1, "a", "1", kind=BEGAN),
        a_visit(2, "a", events=[an_order("o1", 60)], received_s=60),
        scored(3, "b", "1", kind=BEGAN, received_s=70),
    ]
    assert ordered(read(visits, told(an_order("o1", 80)))) == [True, False]


def test_only_scores_before_the_order_are_judged(store: tuple[Path, str]) -> None:
    """After the order, in one call with its confirmation page, or as of another time: none."""
    confirmation = events_pb2.Event(event_id="c", type=events_pb2.EVENT_TYPE_PAGE_VIEW)
    confirmation.page.type = events_pb2.PAGE_TYPE_CONFIRMATION
    confirmation.event_time.FromMicroseconds(round(START_S * 1e6))
    after = pb.LoggedScore(conversion=0.1, converted=True)
    asked = pb.LoggedScore(conversion=0.1)
    visits = [
        scored(1, "a", "1", kind=BEGAN, bundle=store[1]),
        a_visit(2, "a", events=[confirmation], score=pb.LoggedScore(conversion=0.9)),
        a_visit(3, "a", events=[an_order("o1", 0)], score=after),
        scored(4, "a", "1", bundle=store[1]),
        scored(5, "b", "1", kind=BEGAN, bundle=store[1], visitor_id="w"),
        a_visit(6, "b", "2", as_of_us=1, score=asked, visitor_id="w"),
        scored(7, "b", "3", received_s=120, bundle=store[1], visitor_id="w"),
    ]
    outside = [told(an_order("o2", 60), "w")]
    served = read(visits, *outside)
    assert served.scores["events_seen"].tolist() == [1, 5, 7]
    report = monitor(MonitorRequest(ended(visits), outside, store[0], wait_hours=0))
    # What was served after the order that the order service told of is no score before one.
    assert report.scores == {"settled": 2, "pending": 0}


def test_a_pause_ends_a_visit_and_its_outcome() -> None:
    """An order after the expiry belongs to the visit that it was placed in."""
    visits = [
        scored(1, "a", "1", kind=BEGAN),
        scored(2, "a", "2", received_s=2 * HOUR_S),
        a_visit(3, "a", events=[an_order("o1", 2 * HOUR_S + 5)], received_s=2 * HOUR_S + 5),
    ]
    assert ordered(read(visits)) == [False, True]


def test_orders_that_were_undone_are_told(store: tuple[Path, str]) -> None:
    """A refund or a cancellation, in a visit or from the order service, is joined to its order."""
    visits = []
    for number in range(4):
        name = f"s{number}"
        visits += [
            scored(2 * number + 1, name, "1", kind=BEGAN, bundle=store[1], visitor_id=name),
            a_visit(2 * number + 2, name, events=[an_order(f"o{number}", 60)], received_s=60,
                    visitor_id=name),
        ]  # fmt: skip
    outside = [
        told(an_order("o1", 90, events_pb2.EVENT_TYPE_CANCEL)),
        told(an_order("o2", 90, events_pb2.EVENT_TYPE_REFUND)),
    ]
    report = monitor(MonitorRequest(ended(visits), outside, store[0]))
    assert report.orders == {"kept": 2, "cancelled": 1, "refunded": 1}


def test_sessions_that_the_log_lacks_events_of_are_left_out(store: tuple[Path, str]) -> None:
    """Their scores are counted by reason."""
    visits = [
        scored(1, "a", "1", kind=BEGAN, bundle=store[1]),
        scored(2, "b", "1", kind=BEGAN, bundle=store[1]),
        a_visit(3, "b", kind=RowKind.GAP),
        scored(4, "b", "2", bundle=store[1]),
        scored(5, "c", "1", bundle=store[1]),
    ]
    report = look(store, visits)
    assert report.scores == {"settled": 1, "pending": 0, "gap": 2, "beginning_missing": 1}


def test_a_log_without_scores_says_so(store: tuple[Path, str]) -> None:
    """And so does a bundle that never answered."""
    with pytest.raises(NotEnoughDataError, match="log_scores"):
        look(store, [a_visit(1, "a", "1", kind=BEGAN)])
    with pytest.raises(BundleError, match="no score"):
        look(store, [scored(1, "a", "1", kind=BEGAN, bundle=store[1])], bundle="tiny:other")


def test_a_pointer_is_the_bundle_that_it_names(store: tuple[Path, str]) -> None:
    """`name:latest` is judged by what the store says it is."""
    visits = [scored(1, "a", "1", kind=BEGAN, bundle=store[1])]
    name, _, version = store[1].partition(":")
    point_to(store[0], name, "latest", version)
    assert look(store, visits, bundle=f"{name}:latest").tag == store[1]


def test_kept_vectors_are_drawn_evenly() -> None:
    """Early and late ones alike, and no more than there is room for."""
    kept = Reservoir(1, most=500)
    for number in range(10_000):
        kept.add(number.to_bytes(4, "little"))
    numbers = kept.matrix().view("<u4").ravel()
    assert len(numbers) == 500
    assert 4_500 < numbers.mean() < 5_500
