"""What a request says of consent, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from micromoment.client import consent, event
from micromoment.errors import InvalidRequestError
from micromoment.events.identity import IdEncoder
from micromoment.events.record import (
    FLAG_ADS_DENIED,
    FLAG_ADS_GRANTED,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PERSONALIZATION_GRANTED,
    FLAG_PRIVACY_CONTROL,
)
from micromoment.events.shop import Shop
from micromoment.scoring.calls import AppliedConsent, NotKept, SessionKey, Withdrawal
from micromoment.scoring.scorer import FoldResult
from micromoment.stores.withdrawn_sessions import WithdrawnSessions
from micromoment.transport.consent import (
    GRANTED,
    ConsentPolicy,
    Purpose,
    Verdict,
    said_with_refused,
    say_for_all,
)
from micromoment.transport.consent_gate import ConsentGate, Kept, apart
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import events_pb2 as pb
from micromoment.v1.scoring_pb2 import ScoreRequest
from tests.support.serving import a_score

NO = consent(analytics="denied")
YES = consent(analytics="granted")
CLOSED = ConsentPolicy(granted=frozenset({Purpose.PERSONALIZATION, Purpose.ADS}))
STRICT = ConsentPolicy(control_denies=frozenset({Purpose.ANALYTICS, Purpose.PERSONALIZATION}))
CONTROL = consent(global_privacy_control=True)


def a_gate(policy: ConsentPolicy = GRANTED, *, withdrawn: bool = False) -> ConsentGate:
    """Make a gate, which may remember a withdrawal of the session of `a_visit`."""
    sessions = WithdrawnSessions(100.0)
    if withdrawn:
        sessions.add(SessionKey("default", "s1"))
    return ConsentGate(policy, sessions, Shop())


def a_visit(
    *own: pb.Consent | None, said: pb.Consent | None = None, policy: ConsentPolicy = GRANTED
) -> VisitCall:
    """Decode a request of as many events with consents of their own."""
    events = [
        event("page_view", event_id=f"e{place}", consent=one, sequence=place + 1)
        for place, one in enumerate(own)
    ]
    request = ScoreRequest(session_id="s1", anonymous_id="v1", events=events, consent=said)
    return RequestDecoder(Shop(), IdEncoder(), consent=policy).score_call(request)


def kept_ids(kept: Kept) -> tuple[str, ...]:
    """Give the ids of the events that are kept."""
    return () if kept.is_denied else kept.visit.call.event_ids


def test_a_request_that_says_nothing_is_kept_at_once() -> None:
    """No closer look is taken at a request without consent, nor at one where it is granted."""
    gate = a_gate()
    for visit in (a_visit(None, None), a_visit(None, said=YES), a_visit(YES, None), a_visit()):
        assert not gate.holds_back(visit)
        assert kept_ids(gate.kept_of(visit, has_session=False)) == visit.call.event_ids
    assert a_visit(None).consent is None


@pytest.mark.parametrize(
    ("own", "said", "policy", "expected"),
    [
        ([None, None], NO, GRANTED, {NotKept.DENIED: 2}),
        ([NO], None, GRANTED, {NotKept.DENIED: 1}),
        ([NO], YES, GRANTED, {NotKept.DENIED: 1}),
        ([NO, None], None, GRANTED, {NotKept.DENIED: 2}),
        ([YES, NO], None, GRANTED, {NotKept.DENIED: 1, NotKept.DENIED_LATER: 1}),
        ([None, NO], YES, GRANTED, {NotKept.DENIED: 1, NotKept.DENIED_LATER: 1}),
        ([None], None, CLOSED, {NotKept.DEFAULT: 1}),
        ([CONTROL], YES, STRICT, {NotKept.PRIVACY_CONTROL: 1}),
        ([None], CONTROL, STRICT, {NotKept.PRIVACY_CONTROL: 1}),
        ([], NO, GRANTED, {}),
    ],
)
def test_a_denied_request_keeps_nothing(
    own: list[pb.Consent | None],
    said: pb.Consent | None,
    policy: ConsentPolicy,
    expected: dict[NotKept, int],
) -> None:
    """An event's own answer goes before its request's; the last event decides for all."""
    gate, visit = a_gate(policy), a_visit(*own, said=said, policy=policy)
    assert gate.holds_back(visit)
    kept = gate.kept_of(visit, has_session=False)
    assert kept.is_denied
    assert dict(kept.not_kept) == expected


@pytest.mark.parametrize(
    ("own", "said", "policy", "ids", "expected"),
    [
        ([NO, YES], None, GRANTED, ("e1",), {NotKept.DENIED: 1}),
        ([NO, None], YES, GRANTED, ("e1",), {NotKept.DENIED: 1}),
        ([NO, YES, None], None, GRANTED, ("e1", "e2"), {NotKept.DENIED: 1}),
        ([None, YES], None, CLOSED, ("e1",), {NotKept.DEFAULT: 1}),
        ([CONTROL, YES], None, STRICT, ("e1",), {NotKept.PRIVACY_CONTROL: 1}),
        ([CONTROL], None, GRANTED, ("e0",), {}),
    ],
)
def test_a_granted_request_leaves_out_what_was_denied(
    own: list[pb.Consent | None],
    said: pb.Consent | None,
    policy: ConsentPolicy,
    ids: tuple[str, ...],
    expected: dict[NotKept, int],
) -> None:
    """Of a request that ends granted the events that were denied are left out, and counted."""
    kept = a_gate(policy).kept_of(a_visit(*own, said=said, policy=policy), has_session=False)
    assert kept_ids(kept) == ids
    assert dict(kept.not_kept) == expected
    assert len(kept.visit.call.batch) == len(kept.visit.events) == len(ids)


def test_a_session_that_is_kept_was_granted() -> None:
    """Where the settings deny, an event that says nothing is kept in a session that is there."""
    gate, visit = a_gate(CLOSED), a_visit(None, policy=CLOSED)
    assert gate.holds_back(visit)
    assert not gate.kept_of(visit, has_session=True).is_denied
    assert gate.kept_of(visit, has_session=False).is_denied


def test_after_a_withdrawal_silence_is_no_consent() -> None:
    """A late event is not kept; one that says yes is."""
    gate = a_gate(withdrawn=True)
    late, again = a_visit(None), a_visit(None, YES)
    assert gate.holds_back(late)
    assert dict(gate.kept_of(late, has_session=False).not_kept) == {NotKept.WITHDRAWN: 1}
    kept = gate.kept_of(again, has_session=False)
    assert kept_ids(kept) == ("e1",)
    assert dict(kept.not_kept) == {NotKept.WITHDRAWN: 1}
    by_store = a_gate().kept_of(late, has_session=False, withdrawn=True)
    assert by_store.is_denied


def test_what_a_dropped_event_says_of_other_purposes_counts() -> None:
    """It goes to the next event that is kept, unless that says something itself."""
    no = consent(analytics="denied", personalization="denied", ads="denied")
    yes = consent(analytics="granted", ads="granted")
    kept = a_gate().kept_of(a_visit(no, yes), has_session=False)
    flags = int(kept.visit.call.batch.events["flags"][0])
    assert flags == FLAG_PERSONALIZATION_DENIED | FLAG_ADS_GRANTED


def test_a_request_s_consent_is_written_into_its_events() -> None:
    """So that log and training see it; what an event says itself stays."""
    said = consent(personalization="denied", ads="granted", global_privacy_control=True)
    visit = a_visit(None, consent(ads="denied"), said=said)
    first, second = (one.consent for one in visit.events)
    assert first == said
    assert second == consent(personalization="denied", ads="denied", global_privacy_control=True)
    flags = visit.call.batch.events["flags"].tolist()
    control = FLAG_PRIVACY_CONTROL | FLAG_PERSONALIZATION_DENIED
    assert flags == [control | FLAG_ADS_GRANTED, control | FLAG_ADS_DENIED]


@pytest.mark.parametrize(
    ("flags", "policy", "personalization", "ads"),
    [
        (0, GRANTED, True, True),
        (FLAG_PERSONALIZATION_DENIED, GRANTED, False, True),
        (FLAG_ADS_DENIED, GRANTED, True, False),
        (FLAG_PRIVACY_CONTROL, GRANTED, True, False),
        (FLAG_PRIVACY_CONTROL | FLAG_ADS_GRANTED, GRANTED, True, False),
        (FLAG_PRIVACY_CONTROL | FLAG_PERSONALIZATION_GRANTED, STRICT, False, False),
        (0, ConsentPolicy(granted=frozenset()), False, False),
        (
            FLAG_PERSONALIZATION_GRANTED | FLAG_ADS_GRANTED,
            ConsentPolicy(granted=frozenset()),
            True,
            True,
        ),
    ],
)
def test_what_a_session_said_decides_on_acting(
    flags: int, policy: ConsentPolicy, personalization: bool, ads: bool
) -> None:
    """Answers count before settings, and Global Privacy Control before answers."""
    gate, score = a_gate(policy), replace(a_score(), said_consent=flags)
    applied = gate.applied(score, a_visit(None)) or AppliedConsent()
    assert (applied.personalization, applied.ads) == (personalization, ads)


@pytest.mark.parametrize("place", ["request", "event"])
def test_an_answer_that_is_none_is_refused(place: str) -> None:
    """The field is named; that of a request is not told of its events as well."""
    wrong = pb.Consent(ads=99)  # type: ignore[arg-type] # which is the point
    with pytest.raises(InvalidRequestError) as raised:
        a_visit(wrong if place == "event" else None, said=wrong if place == "request" else None)
    field = "consent.ads" if place == "request" else "events[0].consent.ads"
    assert [one.field for one in raised.value.violations] == [field]


def test_a_request_without_events_has_its_own_consent() -> None:
    """What is asked again is answered by what the request says now."""
    visit = a_visit(said=consent(personalization="denied"))
    applied = a_gate().applied(a_score(), visit)
    assert applied == AppliedConsent(personalization=False)


def test_events_outside_a_visit_are_judged_one_by_one() -> None:
    """None of them says anything for another."""
    events = [event("purchase", consent=one) for one in (NO, None, YES)]
    kept, applied = a_gate().outside_visit(events, None)
    assert kept == events[1:]
    assert applied == AppliedConsent(not_kept=((NotKept.DENIED, 1),))
    kept, applied = a_gate().outside_visit(events[:1], YES)
    assert (kept, applied) == ([], AppliedConsent(analytics=False, not_kept=((NotKept.DENIED, 1),)))
    assert a_gate(CLOSED).outside_visit(events, None)[0] == events[2:]
    assert a_gate().outside_visit(events[1:], None) == (events[1:], None)


def test_ingested_events_tell_of_their_consent() -> None:
    """A fold says what was denied, and nothing where all is granted."""
    gate, result = a_gate(), FoldResult(1, 0)
    assert gate.told_folded(result, Kept(a_visit(YES))) == result
    no_ads = gate.told_folded(result, Kept(a_visit(CONTROL)))
    assert no_ads.consent == AppliedConsent(ads=False)
    kept = Kept(a_visit(NO), True, ((NotKept.DENIED, 1),))
    told = gate.told_folded(FoldResult(0, 0), kept, Withdrawal.DONE)
    assert told.consent == AppliedConsent(
        analytics=False, not_kept=kept.not_kept, withdrawal=Withdrawal.DONE
    )


def test_a_call_apart_misses_nothing() -> None:
    """Its number among the session's events, and its visitor, are not looked at."""
    call = a_visit(None, None).call
    call.first_sequence = 7
    assert apart(call).first_sequence is None


def test_a_withdrawal_is_remembered_for_so_long_and_of_so_many() -> None:
    """Hashes alone are kept, the last ones, each for its time."""
    now = [0.0]
    sessions = WithdrawnSessions(10.0, 2, lambda: now[0])
    keys = [SessionKey("t", f"s{number}") for number in range(3)]
    for key in keys:
        sessions.add(key)
    assert [key in sessions for key in keys] == [False, True, True]
    sessions.discard(keys[1])
    assert keys[1] not in sessions
    now[0] = 10.0
    assert keys[2] not in sessions


BROKEN = pb.Consent(analytics=7)  # type: ignore[arg-type] # no answer that there is
DENIES = NotKept.DENIED


@pytest.mark.parametrize(
    ("own", "refused", "said", "verdicts", "last"),
    [
        ((None, NO), {1}, None, (None,), DENIES),
        ((NO, None), {0}, None, (DENIES,), DENIES),
        ((NO, YES), {0}, None, (True,), True),
        ((NO, YES), {1}, None, (DENIES,), DENIES),
        ((YES,), {0}, None, (), None),
        ((YES,), {0}, NO, (), DENIES),
        ((YES, None), {1}, NO, (True,), DENIES),
        ((YES, YES), {1}, NO, (True,), True),
        ((BROKEN,), {0}, None, (), None),
        ((BROKEN,), {0}, NO, (), DENIES),
        ((CONTROL,), {0}, None, (), NotKept.PRIVACY_CONTROL),
        ((pb.Consent(analytics=2, ads=9),), {0}, None, (), DENIES),  # type: ignore[arg-type]
    ],
)
def test_of_a_refused_event_a_denial_alone_counts(
    own: tuple[pb.Consent | None, ...],
    refused: set[int],
    said: pb.Consent | None,
    verdicts: tuple[Verdict, ...],
    last: Verdict,
) -> None:
    """In its place, and as far as it can be read; what a request says is said by it, too."""
    events = [pb.Event(event_id=f"e{place}", consent=one) for place, one in enumerate(own)]
    request = pb.IngestRequest(events=events, consent=said)
    taken = [event for place, event in enumerate(request.events) if place not in refused]
    if said is not None:
        say_for_all(said, taken)
    before = [event.SerializeToString() for place, event in enumerate(events) if place in refused]
    found = said_with_refused(request, refused, STRICT)
    assert (found.events, found.last) == (verdicts, last)
    assert before == [request.events[place].SerializeToString() for place in sorted(refused)]
