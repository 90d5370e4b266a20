"""Between protobuf and the application's own values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from micromoment.client import event, item
from micromoment.events.hashing import hash_id
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.shop import Shop
from micromoment.scoring.abstention import AbstainReason, Abstention
from micromoment.scoring.calls import (
    AppliedConsent,
    Churn,
    Degraded,
    Explanation,
    Reason,
    Segment,
    SessionKey,
    UserFeatureAge,
)
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.encoding import (
    ABSTAIN_REASONS,
    DEGRADED_REASONS,
    LIFECYCLES,
    ReplyEncoder,
)
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb
from tests.support.serving import FEATURE_NAMES, a_score

NOW_US = 1_700_000_000_000_000


def a_decoder(ids: IdEncoder | None = None) -> RequestDecoder:
    """Make a decoder whose clock stands still."""
    return RequestDecoder(Shop(currency="EUR"), ids or IdEncoder(), lambda: NOW_US)


def an_encoder() -> ReplyEncoder:
    """Make an encoder for two features."""
    return ReplyEncoder(FEATURE_NAMES, "fingerprint")


def an_explanation(base: float) -> Explanation:
    """Make one with two reasons."""
    reasons = (Reason("cart", "f", None, -0.5, "text"), Reason("path", "g", 0.0, 0.25, "more"))
    return Explanation(base, reasons, 0.125)


def test_a_request_becomes_a_call() -> None:
    """Ids, events, options and the time of arrival are taken over."""
    request = pb.ScoreRequest(
        session_id="s1",
        anonymous_id="a",
        events=[event("item_view", event_id="e1", sequence=7, items=[item("i1", price="9.99")])],
        explain=True,
        dry_run=True,
    )
    request.as_of.FromMicroseconds(NOW_US + 1)
    call = a_decoder().score_call(request).call
    assert call.key == SessionKey("default", "s1")
    assert (call.event_ids, call.first_sequence, call.as_of_us) == (("e1",), 7, NOW_US + 1)
    assert (call.explain, call.dry_run, call.user) == (True, True, None)
    assert call.batch.events["received_time"].tolist() == [NOW_US]
    assert call.batch.items["price"].tolist() == [9_990_000]


def test_a_known_customer_goes_before_the_browser() -> None:
    """With a user id the visitor is the user; without one it is the browser."""
    decoder = a_decoder()
    known = decoder.score_call(
        pb.ScoreRequest(session_id="s", user_id="u", anonymous_id="a", events=[event("search")])
    )
    unknown = decoder.score_call(
        pb.ScoreRequest(session_id="s", anonymous_id="a", events=[event("search")])
    )
    assert (known.call.visitor, known.visitor_ids) == (hash_id("u"), ("u",))
    assert (unknown.call.visitor, unknown.visitor_ids) == (hash_id("a"), ("a",))
    assert known.call.batch.events["user"].tolist() == [hash_id("u")]
    assert unknown.call.batch.events["user"].tolist() == [0]


def test_with_a_key_no_plain_id_goes_in() -> None:
    """Session and visitor are pseudonyms; the same request gives the same ones."""
    decoder = a_decoder(IdEncoder([IdKey("k1", b"0" * 16)]))
    request = pb.ScoreRequest(session_id="s-secret", user_id="u-secret", events=[event("search")])
    visit = decoder.score_call(request)
    assert visit.call.key.session_id.startswith("k1.")
    assert "secret" not in repr(visit)
    assert visit.call.key == decoder.score_call(request).call.key
    ingest = events_pb2.IngestRequest(user_id="u-secret")
    assert decoder.visitor_id(ingest) == visit.visitor_ids[0]


def test_an_event_without_a_number_has_none() -> None:
    """The first sequence is None where the caller doesn't number events, or sends none."""
    decoder = a_decoder()
    for events in ([], [event("search")]):
        visit = decoder.score_call(pb.ScoreRequest(session_id="s", events=events))
        assert visit.call.first_sequence is None


def test_what_does_not_apply_is_absent() -> None:
    """Conversion of None, models that the bundle lacks and unasked features aren't set."""
    reply = an_encoder().score_response("s1", a_score(conversion=None))
    set_fields = {field.name for field, _ in reply.ListFields()}
    assert set_fields == {
        "score_id",
        "session_id",
        "journey_stage",
        "lifecycle",
        "evidence",
        "events_seen",
        "last_event_id",
        "user_features",
        "bundle",
        "as_of",
    }


def test_a_conversion_of_zero_is_present() -> None:
    """0 and missing are told apart."""
    assert an_encoder().score_response("s1", a_score(conversion=0.0)).HasField("conversion")


def test_a_starters_answers_say_so() -> None:
    """Whoever reads a reply knows that the bundle was made without the shop's data."""
    assert not an_encoder().score_response("s1", a_score()).evidence.starter
    starter = replace(an_encoder(), starter=True)
    assert starter.score_response("s1", a_score()).evidence.starter


def test_features_keep_their_bits() -> None:
    """Float32 values and NaN come out as they went in, with names and fingerprint."""
    score = a_score()
    vector = an_encoder().score_response("s1", score, include_features=True).feature_vector
    assert np.array(vector.values, np.float32).tobytes() == score.features.tobytes()
    assert (tuple(vector.names), vector.fingerprint) == (FEATURE_NAMES, "fingerprint")


def test_everything_of_an_answer_is_told() -> None:
    """Reasons and totals, evidence, degraded reasons, age of user features, times are encoded."""
    score = a_score(
        degraded=tuple(Degraded),
        explanation=an_explanation(0.5),
        churn=Churn(0.5, 30, "activity", None, an_explanation(0.75)),
        conversion=0.3,
        consent=AppliedConsent(personalization=False),
        events_seen=2,
        user=UserFeatureAge(found=True, snapshot_time_us=5_000_001, age_us=90_000_002, stale=True),
    )
    encoder = replace(an_encoder(), abstention=Abstention(5, (0.0, 1.0), 0.01, degraded=True))
    reply = encoder.score_response("s1", score)
    assert list(reply.degraded) == list(DEGRADED_REASONS.values())
    assert [reason.HasField("value") for reason in reply.reasons] == [False, True]
    assert [reason.contribution for reason in reply.reasons] == [-0.5, 0.25]
    directions = [reason.direction for reason in reply.reasons]
    assert directions == [pb.DIRECTION_AGAINST, pb.DIRECTION_FOR]
    assert [reason.group for reason in reply.reasons] == ["cart", "path"]
    assert (reply.reason_totals.base, reply.reason_totals.other) == (0.5, 0.125)
    assert list(reply.churn_reasons) == list(reply.reasons)
    assert reply.churn_reason_totals.base == 0.75
    assert reply.evidence.abstain
    assert list(reply.evidence.abstain_reasons) == list(ABSTAIN_REASONS.values())
    assert reply.user_features.snapshot_time.ToMicroseconds() == 5_000_001
    assert reply.user_features.age.ToMicroseconds() == 90_000_002
    assert reply.user_features.stale
    assert reply.as_of.ToMicroseconds() == score.as_of_us


def test_where_the_visit_belongs_is_told() -> None:
    """Cluster, audiences in their order, the first of them as segment, stage and lifecycle."""
    score = a_score(
        cluster=Segment("few", "Few events"),
        audiences=(Segment("a", "First"), Segment("b", "Second")),
    )
    score = replace(score, lifecycle=Lifecycle.AT_RISK)
    reply = an_encoder().session_response("s1", score).scores
    assert (reply.cluster.segment_id, reply.cluster.display_name) == ("few", "Few events")
    assert [one.segment_id for one in reply.audiences] == ["a", "b"]
    assert (reply.segment.segment_id, reply.segment.display_name) == ("a", "First")
    assert reply.lifecycle == pb.LIFECYCLE_AT_RISK
    alone = an_encoder().score_response("s1", replace(score, audiences=()))
    assert alone.segment == alone.cluster


def test_every_lifecycle_has_a_number() -> None:
    """The scorer's words are all in the contract, each under its own name."""
    assert {pb.Lifecycle.Name(number) for number in LIFECYCLES.values()} == set(pb.Lifecycle.keys())


def test_every_degraded_reason_has_a_number() -> None:
    """The scorer's reasons are all in the contract, each under its own name."""
    assert set(DEGRADED_REASONS) == set(Degraded)
    for reason, number in DEGRADED_REASONS.items():
        assert pb.DegradedReason.Name(number) == f"DEGRADED_REASON_{reason.name}"


def test_every_reason_to_abstain_has_a_number() -> None:
    """They are all in the contract, each under its own name."""
    names = {"ABSTAIN_REASON_UNSPECIFIED"}
    names |= {f"ABSTAIN_REASON_{reason.name}" for reason in ABSTAIN_REASONS}
    assert set(ABSTAIN_REASONS) == set(AbstainReason)
    assert names == set(pb.AbstainReason.keys())


def test_a_sessions_state_is_told() -> None:
    """GetSession has summary, scores and features."""
    reply = an_encoder().session_response("s1", a_score(events_seen=3))
    assert reply.state.events_seen == 3
    assert reply.state.first_event_time.ToMicroseconds() == 1_000_000
    assert not reply.state.HasField("cart_value_micros")
    assert reply.scores.HasField("feature_vector")
