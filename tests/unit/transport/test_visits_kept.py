"""What a call keeps, deletes and brings back where consent, erasures and keys meet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from micromoment.client import consent, event
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.shop import Shop
from micromoment.scoring.calls import NotKept, SessionKey, Withdrawal
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.tombstones import Tombstones, visitor_mark
from micromoment.stores.withdrawals import NothingToWithdraw
from micromoment.stores.withdrawn_sessions import WithdrawnSessions
from micromoment.transport.consent import GRANTED, ConsentPolicy, Purpose
from micromoment.transport.consent_gate import ConsentGate
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.observer import NoObserver
from micromoment.transport.turns import Turns
from micromoment.transport.visitors import VisitCall, Visitors
from micromoment.transport.visits import Visits
from micromoment.v1 import events_pb2 as pb
from micromoment.v1.scoring_pb2 import ScoreRequest
from tests.support.serving import CountingScorer, SlowUsers

NO, YES = consent(analytics="denied"), consent(analytics="granted")
CLOSED = ConsentPolicy(granted=frozenset({Purpose.PERSONALIZATION, Purpose.ADS}))
IDS = IdEncoder([IdKey("k2", b"2" * 16), IdKey("k1", b"1" * 16)])
KEY = SessionKey("default", "s1")
NOW_US = 1_700_000_000_000_000


class Told(NothingToWithdraw):
    """Remembers which sessions were to be deleted."""

    def __init__(self) -> None:
        self.asked: list[SessionKey] = []

    async def withdraw(self, key: SessionKey) -> Withdrawal:
        """Remember it."""
        self.asked.append(key)
        return Withdrawal.DONE


@dataclass
class Shopfront:
    """An application of fakes around real rules."""

    policy: ConsentPolicy = GRANTED
    ids: IdEncoder = field(default_factory=IdEncoder)
    erased: Tombstones = field(default_factory=Tombstones)
    withdrawn: WithdrawnSessions = field(default_factory=lambda: WithdrawnSessions(100.0))
    told: Told = field(default_factory=Told)
    turns: Turns = field(default_factory=Turns)
    sessions: MemorySessionStore = field(default_factory=lambda: MemorySessionStore(10, 60))

    def __post_init__(self) -> None:
        visitors = Visitors(SlowUsers(), 1.0, NoObserver())
        self.visits = Visits(
            CountingScorer(), self.sessions, visitors, NoObserver(), self.turns, erased=self.erased,
            consent=ConsentGate(self.policy, self.withdrawn, Shop()), withdrawals=self.told,
        )  # fmt: skip

    def call(
        self,
        *own: pb.Consent | None,
        user_id: str = "u",
        dry_run: bool = False,
        seconds: Sequence[int] = range(9),
    ) -> VisitCall:
        """Decode a request of events with consents of their own, at these seconds."""
        events = [
            event("page_view", event_id=f"e{place}", consent=one) for place, one in enumerate(own)
        ]
        for place, one in enumerate(events):
            one.event_time.FromMicroseconds(NOW_US + seconds[place] * 1_000_000)
        request = ScoreRequest(session_id="s1", user_id=user_id, events=events, dry_run=dry_run)
        decoder = RequestDecoder(
            Shop(), self.ids, lambda: NOW_US, erased=self.erased, consent=self.policy
        )
        return decoder.score_call(request)

    def erase(self, user_id: str, until_us: int) -> None:
        """Let events of somebody up to a time not count."""
        self.erased.add([visitor_mark("default", user_id)], until_us)


@pytest.mark.parametrize("how", ["score", "fold"])
async def test_only_a_denial_withdraws(how: str) -> None:
    """A call that says nothing keeps nothing where the settings deny, and deletes nothing."""
    front = Shopfront(CLOSED)
    await getattr(front.visits, how)(front.call(None))
    assert front.told.asked == []
    await getattr(front.visits, how)(front.call(NO, dry_run=True))
    assert front.told.asked == ([] if how == "score" else front.told.asked)
    front.told.asked.clear()
    await getattr(front.visits, how)(front.call(None, NO))
    assert front.told.asked == [KEY]
    assert len(front.sessions) == 0


async def test_a_denial_reaches_a_session_under_any_key() -> None:
    """What was kept under an earlier key for pseudonyms goes as well."""
    front = Shopfront(ids=IDS)
    await front.visits.score(front.call(NO))
    assert [key.session_id for key in front.told.asked] == list(IDS.candidates("s1"))


async def test_a_withdrawal_under_an_earlier_key_is_known() -> None:
    """After the keys changed, silence brings a withdrawn session back no more than before."""
    front = Shopfront(ids=IDS)
    front.withdrawn.add(SessionKey("default", IDS.candidates("s1")[1]))
    assert front.visits.score_at_once(front.call(None)) is None
    score = await front.visits.score(front.call(None))
    assert score.consent is not None
    assert dict(score.consent.not_kept) == {NotKept.WITHDRAWN: 1}
    assert len(front.sessions) == 0


@pytest.mark.parametrize("how", ["score_at_once", "score", "score_batch", "fold"])
async def test_who_is_erased_after_decoding_does_not_come_back(how: str) -> None:
    """Such as a later item of a batch, whose turn comes when the erasure is done."""
    front = Shopfront()
    visit = front.call(None, None)
    front.erase("u", NOW_US + 5_000_000)
    if how == "score_at_once":
        front.visits.score_at_once(visit)
    elif how == "score_batch":
        await front.visits.score_batch([visit])
    else:
        await getattr(front.visits, how)(visit)
    assert (visit.is_late, len(front.sessions)) == (True, 0)
    # The control: of somebody else it is kept.
    await front.visits.score(front.call(None, None, user_id="other"))
    assert len(front.sessions) == 1


async def test_a_denial_in_a_call_of_late_events_withdraws() -> None:
    """The session that went on after the erasure is deleted by it."""
    front = Shopfront()
    front.erase("u", NOW_US + 5_000_000)
    for how in (front.visits.score, front.visits.fold):
        front.told.asked.clear()
        visit = front.call(NO)
        assert visit.is_late
        await how(visit)
        assert front.told.asked == [KEY]


@pytest.mark.parametrize("how", ["score", "fold"])
async def test_a_denial_in_a_late_event_withdraws_what_others_tell(how: str) -> None:
    """Also where silent events beside it came in time."""
    front = Shopfront()
    front.erase("u", NOW_US)
    visit = front.call(None, NO, seconds=(1, 0))
    assert (visit.late, visit.is_late) == (1, False)
    await getattr(front.visits, how)(visit)
    assert (front.told.asked, len(front.sessions)) == ([KEY], 0)


async def test_events_that_are_left_out_decide_nothing() -> None:
    """A late event's yes is none for those that stay."""
    front = Shopfront(CLOSED)
    front.erase("u", NOW_US)
    visit = front.call(None, YES, seconds=(1, 0))
    assert (visit.late, visit.is_late) == (1, False)
    score = await front.visits.score(visit)
    assert score.consent is not None
    assert dict(score.consent.not_kept) == {NotKept.DEFAULT: 1}
    assert len(front.sessions) == 0


async def test_turns_are_a_session_s_under_all_its_keys() -> None:
    """So that no two calls begin it under two of them."""
    front = Shopfront(ids=IDS)
    visit = front.call(None)
    visit.go_by(1)
    call = asyncio.create_task(front.visits.score(visit))
    await asyncio.sleep(0)
    turn = SessionKey("default", IDS.candidates("s1")[0])
    assert [front.turns.taken(turn), len(front.turns)] == [True, 1]
    await call
    assert len(front.turns) == 0
