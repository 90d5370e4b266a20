"""The scorer: from events to an answer, with a real bundle and a real store."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.errors import InvalidRequestError, MicromomentError, SessionNotFoundError
from micromoment.events.vocabulary import EventType, JourneyStage, PageType
from micromoment.features.state import STATE_VERSION
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.calls import Degraded, Score, SessionKey
from micromoment.scoring.reasons import explain
from micromoment.scoring.scorer import Ask, FoldResult, Scored
from micromoment.stores.sessions import MemorySessionStore
from tests.support.bundles import recalibrated
from tests.support.calls import KEY, OTHER, a_call, visit
from tests.support.events import (
    DAY,
    MINUTE,
    SECOND,
    START_US,
    AnEvent,
    AnItem,
    an_event,
)
from tests.support.folding import a_lookup
from tests.support.scoring import StoringScorer
from tests.support.strategies import event_sequences

FILLED = an_event(event_id="add", type=EventType.CART_ADD, items=(AnItem(quantity=1),))


def bits(score: Score) -> tuple[object, ...]:
    """Give all of an answer that may not differ, features as bytes."""
    return (score.features.tobytes(), score.conversion, score.abandonment, score.events_seen,
            score.last_event_id, score.as_of_us, score.summary, score.degraded)  # fmt: skip


def test_a_write_is_read(scorer: StoringScorer) -> None:
    """An answer counts the request's own events and those before, and names the last."""
    first = scorer.score(a_call(visit(3)))
    assert (first.events_seen, first.last_event_id, first.duplicates) == (3, "e3", 0)
    second = scorer.score(a_call(visit(2, first=4)))
    assert (second.events_seen, second.last_event_id) == (5, "e5")
    assert second.features[scorer.bundle.feature_names.index("n_events")] == 5
    assert second.as_of_us == START_US + 50 * SECOND
    assert second.bundle == scorer.bundle.tag
    assert first.conversion is not None
    assert 0 < first.conversion < 1


def test_the_answer_is_the_model_s(scorer: StoringScorer) -> None:
    """The conversion is that of the vector in the answer, bit by bit."""
    score = scorer.score(a_call([*visit(4), FILLED]))
    model = scorer.bundle.conversion
    assert model is not None
    rows = score.features[np.newaxis, :]
    raw = float(model.trees.raw_scores(rows)[0])
    assert score.conversion == model.calibrator.at(5).probability(raw)
    assert score.calibration_error == model.error_at(5)
    assert score.journey_stage is JourneyStage.DECIDE


@given(events=event_sequences(max_size=10), cut=st.integers(0, 10))
def test_any_requests_give_an_answer(
    tiny_bundle: LoadedBundle, events: list[AnEvent], cut: int
) -> None:
    """Whatever happens in a visit, its answers keep to the rules of conversion and abandonment."""
    store = MemorySessionStore(max_sessions=3, ttl_s=3_600)
    scorer = StoringScorer(tiny_bundle, store, max_user_feature_age_us=2 * DAY)
    for request in (events[:cut], events[cut:]):
        if not request:
            continue
        score = scorer.score(a_call(request, explain=True))
        if score.converted:
            assert (score.conversion, score.abandonment, score.explanation) == (None, None, None)
            continue
        assert score.conversion is not None
        assert 0.0 <= score.conversion <= 1.0
        filled = score.summary.cart_quantity > 0
        assert score.abandonment == (1.0 - score.conversion if filled else None)
        assert score.explanation is not None
        assert len(score.explanation.reasons) <= 5


def test_a_repeated_question_has_the_same_answer(scorer: StoringScorer) -> None:
    """Without new events the last answer is given again, bit by bit, and nothing is stored."""
    first = scorer.score(a_call([*visit(3), FILLED]))
    assert bits(scorer.score(a_call())) == bits(first)
    assert bits(scorer.session(KEY)) == bits(first)
    resent = scorer.score(a_call(visit(3)))
    assert resent.duplicates == 3
    assert bits(resent) == bits(first)


def test_duplicates_are_counted(scorer: StoringScorer) -> None:
    """Ids seen before, in earlier requests or in this one, are counted and change nothing."""
    scorer.score(a_call(visit(2)))
    again = scorer.score(a_call([*visit(3), visit(3)[2]]))
    assert (again.duplicates, again.events_seen, again.last_event_id) == (3, 3, "e3")


def test_the_last_id_is_that_of_the_last_event_taken(scorer: StoringScorer) -> None:
    """A duplicate at a request's end is not the last event that was seen."""
    scorer.score(a_call(visit(1)))
    score = scorer.score(a_call([visit(2)[1], visit(1)[0]]))
    assert (score.last_event_id, score.duplicates) == ("e2", 1)


def test_a_dry_run_stores_nothing(scorer: StoringScorer, store: MemorySessionStore) -> None:
    """It answers as if the events had happened; the session and its store stay as they were."""
    kept = scorer.score(a_call(visit(2)))
    tried = scorer.score(a_call(visit(2, first=3), dry_run=True))
    assert tried.events_seen == 4
    assert bits(scorer.session(KEY)) == bits(kept)
    assert bits(scorer.score(a_call(visit(2, first=3)))) == bits(tried)
    scorer.score(a_call(visit(1), key=OTHER, dry_run=True))
    assert len(store) == 1
    with pytest.raises(SessionNotFoundError):
        scorer.session(OTHER)


def test_as_of_a_later_time(scorer: StoringScorer) -> None:
    """Time runs on in the features, for this answer only."""
    first = scorer.score(a_call(visit(2)))
    later = scorer.score(a_call(as_of_us=first.as_of_us + 60 * SECOND))
    duration = scorer.bundle.feature_names.index("duration_s")
    assert later.features[duration] == first.features[duration] + 60
    assert later.as_of_us == first.as_of_us + 60 * SECOND
    assert bits(scorer.score(a_call())) == bits(first)


def test_as_of_before_the_last_event_is_refused(scorer: StoringScorer) -> None:
    """The field is named, and the request's events are not stored."""
    first = scorer.score(a_call(visit(2)))
    too_early = a_call(visit(1, first=3), as_of_us=first.as_of_us)
    with pytest.raises(InvalidRequestError, match="as_of: is before the session's last event"):
        scorer.score(too_early)
    assert bits(scorer.session(KEY)) == bits(first)
    same = scorer.score(a_call(as_of_us=first.as_of_us))
    assert bits(same) == bits(first)


def test_an_unknown_session_without_events(
    scorer: StoringScorer, store: MemorySessionStore
) -> None:
    """There is nothing to answer, in any call."""
    for ask in (lambda: scorer.score(a_call()), lambda: scorer.session(KEY),
                lambda: scorer.fold(a_call())):  # fmt: skip
        with pytest.raises(SessionNotFoundError):
            ask()
    assert len(store) == 0


def test_folding_without_scoring(scorer: StoringScorer) -> None:
    """Ingested events are folded, counted and kept, as those of a request to score."""
    assert scorer.fold(a_call([*visit(3), visit(1)[0]])) == FoldResult(3, 1)
    scored = scorer.score(a_call(visit(3), key=OTHER))
    assert bits(scorer.session(KEY)) == bits(scored)


def test_lost_state_is_told_by_the_sequence(scorer: StoringScorer) -> None:
    """A session that is new here but begins with its fourth event has lost the earlier ones."""
    score = scorer.score(a_call(visit(1, first=4), first_sequence=4))
    assert Degraded.STATE_LOST in score.degraded
    # It stays lost for the visit, and a new visit is whole again.
    assert Degraded.STATE_LOST in scorer.score(a_call(visit(1, first=5))).degraded
    next_visit = an_event(event_id="n", event_time=START_US + DAY)
    assert scorer.score(a_call([next_visit])).degraded == ()


@pytest.mark.parametrize("first_sequence", [None, 1])
def test_a_session_that_begins_here_has_lost_nothing(
    scorer: StoringScorer, first_sequence: int | None
) -> None:
    """Neither an unnumbered session nor one that begins with its first event is degraded."""
    score = scorer.score(a_call(visit(1), first_sequence=first_sequence))
    assert score.degraded == ()
    assert scorer.score(a_call(visit(1, first=2), first_sequence=2)).degraded == ()


def test_lost_state_is_told_by_the_store(scorer: StoringScorer) -> None:
    """A session that had to make room for others comes back as lost, and counts afresh."""
    scorer.score(a_call(visit(3)))
    for number in range(3):
        scorer.score(a_call(visit(1), key=SessionKey("default", f"other{number}")))
    back = scorer.score(a_call(visit(1, first=4)))
    assert back.degraded == (Degraded.STATE_LOST,)
    assert back.events_seen == 1


def test_a_lost_session_that_is_only_tried_is_still_lost(scorer: StoringScorer) -> None:
    """A dry run in between doesn't make a lost session whole."""
    for number in range(4):
        scorer.score(a_call(visit(1), key=SessionKey("default", f"s{number}")))
    lost = SessionKey("default", "s0")
    assert scorer.score(a_call(visit(1), key=lost, dry_run=True)).degraded
    assert scorer.score(a_call(visit(1), key=lost)).degraded == (Degraded.STATE_LOST,)


def test_after_a_purchase_nothing_is_predicted(scorer: StoringScorer) -> None:
    """Conversion, abandonment and reasons are absent; a new visit has them again."""
    order = an_event(event_id="order", type=EventType.PURCHASE, event_time=START_US + MINUTE)
    bought = scorer.score(a_call([FILLED, order], explain=True))
    assert bought.converted
    assert (bought.conversion, bought.abandonment, bought.explanation) == (None, None, None)
    after = scorer.score(a_call([replace(FILLED, event_id="b", event_time=START_US + 2 * MINUTE)]))
    assert (after.converted, after.conversion, after.abandonment) == (True, None, None)
    next_visit = replace(FILLED, event_id="c", event_time=START_US + DAY)
    again = scorer.score(a_call([next_visit]))
    assert not again.converted
    assert again.conversion is not None
    assert again.summary.epoch == 1


def test_abandonment_needs_a_filled_cart(scorer: StoringScorer) -> None:
    """It appears with the first piece in the cart and goes with the last."""
    assert scorer.score(a_call(visit(1))).abandonment is None
    filled = scorer.score(a_call([replace(FILLED, event_time=START_US + MINUTE)]))
    assert filled.conversion is not None
    assert filled.abandonment == 1.0 - filled.conversion
    empty = an_event(event_id="out", type=EventType.CART_REMOVE, event_time=START_US + 2 * MINUTE)
    assert scorer.score(a_call([empty])).abandonment is None


def test_the_scorer_keeps_nothing(scorer: StoringScorer) -> None:
    """What is to be kept is given back: the session after its events, nothing where none came."""
    pure = scorer.scorer
    first = pure.score(a_call(visit(2)), None, lost=False)
    assert first.entry is not None
    assert first.entry.last_event_id == "e2"
    assert pure.score(a_call(visit(1)), None, lost=False).score.events_seen == 1
    again = pure.score(a_call(), first.entry, lost=False)
    assert again.entry is None
    assert bits(again.score) == bits(first.score)
    assert pure.score(a_call(visit(1), dry_run=True), None, lost=False).entry is None
    assert pure.fold(a_call(), first.entry, lost=False).entry is None


def test_a_known_session_may_have_lost_events(scorer: StoringScorer) -> None:
    """Who knows that events before the call are lost says so, and the session remembers it."""
    kept = scorer.scorer.score(a_call(visit(1)), None, lost=False).entry
    later = scorer.scorer.score(a_call(visit(1, first=3)), kept, lost=True)
    assert later.score.degraded == (Degraded.STATE_LOST,)
    last = scorer.scorer.score(a_call(visit(1, first=4)), later.entry, lost=False)
    assert last.score.degraded == (Degraded.STATE_LOST,)
    assert last.score.events_seen == 3


def test_sessions_and_tenants_are_apart(scorer: StoringScorer) -> None:
    """The same id at another tenant, or another id, is another session."""
    scorer.score(a_call(visit(3)))
    assert scorer.score(a_call(visit(1), key=SessionKey("other", "s1"))).events_seen == 1
    assert scorer.score(a_call(visit(1), key=OTHER)).events_seen == 1
    assert scorer.session(KEY).events_seen == 3


def test_a_confirmation_page_is_seen_but_tells_nothing(scorer: StoringScorer) -> None:
    """It is counted and is the last event; the scores are those from before."""
    before = scorer.score(a_call([*visit(2), FILLED]))
    page = an_event(
        event_id="c", page_type=PageType.CONFIRMATION, event_time=START_US + 20 * SECOND
    )
    after = scorer.score(a_call([page]))
    assert (after.events_seen, after.last_event_id) == (4, "c")
    assert after.features.tobytes() == before.features.tobytes()
    assert after.conversion == before.conversion


def test_reasons_are_the_largest_contributions(scorer: StoringScorer) -> None:
    """Asked for, up to five groups with value and a sentence, in the shop's currency; else none."""
    assert scorer.score(a_call(visit(2))).explanation is None
    score = scorer.score(a_call([*visit(2, first=3), FILLED], explain=True))
    assert score.explanation is not None
    assert 1 <= len(score.explanation.reasons) <= 5
    assert scorer.bundle.conversion is not None
    model = scorer.bundle.conversion.at(score.events_seen)
    assert score.explanation == explain(model, score.features, "EUR")
    assert scorer.session(KEY, explain=True).explanation == score.explanation
    assert scorer.session(KEY).explanation is None


def test_the_summary_of_a_session(scorer: StoringScorer) -> None:
    """Times, counts and the cart's value in micros, as they stand in the state."""
    cart = replace(FILLED, items=(AnItem(quantity=3, price_micros=2_500_000),),
                   event_time=START_US + 30 * SECOND)  # fmt: skip
    summary = scorer.score(a_call([*visit(2), cart])).summary
    assert summary.events_seen == 3
    assert summary.first_event_time_us == START_US + 10 * SECOND
    assert summary.last_event_time_us == START_US + 30 * SECOND
    assert (summary.epoch, summary.state_version) == (0, STATE_VERSION)
    assert (summary.cart_quantity, summary.cart_value_micros) == (3, 7_500_000)
    assert scorer.score(a_call(visit(1), key=OTHER)).summary.cart_value_micros is None


def test_a_bundle_without_a_conversion_model(
    tiny_bundle: LoadedBundle, store: MemorySessionStore
) -> None:
    """What the bundle lacks is absent from the answer; the rest is there."""
    bare = replace(tiny_bundle, conversion=None)
    scorer = StoringScorer(bare, store, max_user_feature_age_us=DAY)
    score = scorer.score(a_call([*visit(2), FILLED], explain=True))
    assert (score.conversion, score.abandonment, score.calibration_error) == (None, None, None)
    assert score.explanation is None
    assert score.events_seen == 3
    assert not np.isnan(score.features[scorer.bundle.feature_names.index("cart_qty")])


def test_a_swapped_bundle_goes_on_with_the_session(
    tiny_bundle: LoadedBundle, store: MemorySessionStore
) -> None:
    """State doesn't depend on a bundle: another one takes a live session over as it is."""
    other = recalibrated(tiny_bundle, PlattCalibrator(0.5, 1.0))
    first = StoringScorer(tiny_bundle, store, max_user_feature_age_us=DAY).score(a_call(visit(4)))
    second = StoringScorer(other, store, max_user_feature_age_us=DAY).score(a_call())
    assert second.features.tobytes() == first.features.tobytes()
    assert second.events_seen == first.events_seen
    assert second.conversion != first.conversion


def test_many_sessions_in_one_pass_are_answered_as_one_by_one(scorer: StoringScorer) -> None:
    """To the bit, with errors in their own places and sessions kept as they would be."""
    lookup = a_lookup(sessions=3, first_seen=START_US - 30 * DAY, last_seen=START_US - DAY)
    calls = [
        a_call(visit(3), key=SessionKey("default", "new"), user=lookup),
        a_call(key=SessionKey("default", "unknown")),
        a_call([*visit(2, first=4), FILLED], key=SessionKey("default", "kept")),
        a_call(as_of_us=START_US, key=SessionKey("default", "kept, too early")),
        a_call(visit(5), key=SessionKey("default", "tried"), dry_run=True),
        a_call(visit(2), key=SessionKey("default", "numbered"), first_sequence=4),
        a_call([*visit(2), *visit(2)], key=SessionKey("default", "explained"), explain=True),
    ]
    begun = scorer.scorer.score(a_call(visit(3)), None, lost=False).entry
    asks = [Ask(call, begun if "kept" in call.key.session_id else None, False) for call in calls]
    together = scorer.scorer.score_together(asks)
    for ask, found in zip(asks, together, strict=True):
        try:
            alone: Scored | MicromomentError = scorer.scorer.score(
                ask.call, ask.entry, lost=ask.lost
            )
        except MicromomentError as error:
            alone = error
        assert type(found) is type(alone)
        if isinstance(found, Scored):
            assert isinstance(alone, Scored)
            assert bits(found.score) == bits(alone.score)
            assert (found.score.user, found.score.explanation) == (
                alone.score.user,
                alone.score.explanation,
            )
            assert found.entry == alone.entry
    kinds = [type(found).__name__ for found in together]
    assert kinds.count("Scored") == 5
    assert [kinds[1], kinds[3]] == ["SessionNotFoundError", "InvalidRequestError"]
