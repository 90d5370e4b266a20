"""Decides what is kept of a call.

Whether a request is kept is decided by its last event; of one that is kept, events for which
analytics were denied are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from micromoment.errors import SessionNotFoundError
from micromoment.events.proto_codec import events_from_proto
from micromoment.events.shop import Shop
from micromoment.features.families.core import consent_after
from micromoment.scoring.calls import (
    AppliedConsent,
    Degraded,
    NotKept,
    Score,
    ScoreCall,
    Withdrawal,
)
from micromoment.scoring.scorer import FoldResult
from micromoment.stores.withdrawals import Withdrawals, withdraw_all
from micromoment.stores.withdrawn_sessions import WithdrawnSessions
from micromoment.transport.consent import (
    GRANTED,
    ConsentPolicy,
    Purpose,
    say_for_all,
    verdict_of,
)
from micromoment.transport.observer import Observer
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import events_pb2 as pb


@dataclass(slots=True)
class Kept:
    """What is to be done with a call: `visit` is the part of it that is kept.

    Nothing of it is where `is_denied`; `visit` is then the whole call. What was kept of its session
    before goes, too, where `withdraws`: a call that says nothing withdraws nothing.
    """

    visit: VisitCall
    is_denied: bool = False
    not_kept: tuple[tuple[NotKept, int], ...] = ()
    withdraws: bool = False


class ConsentGate:
    """Decides by a policy and, for sessions whose consent was withdrawn, by the memory of that."""

    def __init__(self, policy: ConsentPolicy, withdrawn: WithdrawnSessions, shop: Shop) -> None:
        self._policy = policy
        self._withdrawn = withdrawn
        self._shop = shop
        self._grants_all = policy.grants_all
        self._keeps_unsaid = Purpose.ANALYTICS in policy.granted

    def holds_back(self, visit: VisitCall) -> bool:
        """Tell whether it takes a closer look, by `kept_of`, to know what is kept of a call."""
        said = visit.consent
        by_default = self._keeps_unsaid
        if not (by_default if said is None else said.is_granted(by_default=by_default)):
            return True
        return self._is_withdrawn(visit)

    def kept_of(self, visit: VisitCall, *, has_session: bool, withdrawn: bool = False) -> Kept:
        """Tell what is kept of a call.

        `has_session` tells that its session is kept, `withdrawn` that a store remembers that its
        consent was withdrawn; this server may remember it as well.
        """
        said = visit.consent
        default = self._default(visit, has_session=has_session, withdrawn=withdrawn)
        verdicts = said.events if said else (None,) * len(visit.events)
        judged = [default if verdict is None else verdict for verdict in verdicts]
        last = said.last if said else None
        last = default if last is None else last
        if last is not True:
            reasons = [NotKept.DENIED_LATER if one is True else one for one in judged]
            is_said = said is not None and said.is_denied
            return Kept(visit, True, _counted(reasons), withdraws=is_said)
        dropped = [one for one in judged if one is not True]
        if not dropped:
            return Kept(visit)
        kept = self._part(visit, [one is True for one in judged])
        return Kept(kept, False, _counted(dropped))

    def none_of(self, visit: VisitCall) -> Kept:
        """Keep nothing of a call, because what was kept of its session is not yet deleted."""
        return Kept(visit, True, ((NotKept.WITHDRAWN, len(visit.events)),), withdraws=True)

    def applied(self, score: Score, visit: VisitCall | None = None) -> AppliedConsent | None:
        """Give the consent that goes for an answer; None where everything is granted.

        `visit` is the call that it answers, None for a question about a session.
        """
        said = score.said_consent
        if visit is not None and visit.consent is not None and not visit.events:
            said = consent_after(said, visit.consent.flags)
        return None if not said and self._grants_all else self._applied(said)

    def told(self, score: Score, kept: Kept) -> Score:
        """Let an answer say what was not kept of its call."""
        if kept.not_kept:
            score.consent = (score.consent or AppliedConsent())._replace(not_kept=kept.not_kept)
        return score

    def told_apart(self, score: Score, kept: Kept, withdrawal: Withdrawal) -> Score:
        """Let an answer say that nothing was kept of its call, and read."""
        applied = self.applied(score, kept.visit) or AppliedConsent()
        score.consent = applied._replace(
            analytics=False, not_kept=kept.not_kept, withdrawal=withdrawal
        )
        # Nobody looked the visitor up: that is no fault of a store's.
        lacks = Degraded.USER_FEATURES_UNAVAILABLE
        score.degraded = tuple([reason for reason in score.degraded if reason is not lacks])
        return score

    def told_folded(
        self, result: FoldResult, kept: Kept, withdrawal: Withdrawal = Withdrawal.NONE
    ) -> FoldResult:
        """Let what became of events say which consent was applied, and what was not kept."""
        visit = kept.visit
        if visit.consent is None and self._grants_all and not kept.is_denied and not kept.not_kept:
            return result
        said = 0
        for flags in visit.call.batch.events["flags"].tolist():
            said = consent_after(said, flags)
        if visit.consent is not None and not visit.events:
            said = consent_after(said, visit.consent.flags)
        applied = (self._applied(said) or AppliedConsent())._replace(
            analytics=not kept.is_denied, not_kept=kept.not_kept, withdrawal=withdrawal
        )
        return replace(result, consent=None if applied == AppliedConsent() else applied)

    def outside_visit(
        self, events: Sequence[pb.Event], consent: pb.Consent | None
    ) -> tuple[list[pb.Event], AppliedConsent | None]:
        """Give those of events outside a visit that are kept, and what is to be said of it.

        Each is judged by itself.
        """
        if consent is not None:
            say_for_all(consent, events)
        judged = []
        for event in events:
            own = verdict_of(event.consent, self._policy) if event.HasField("consent") else None
            default = True if self._keeps_unsaid else NotKept.DEFAULT
            judged.append(default if own is None else own)
        kept = [event for event, one in zip(events, judged, strict=True) if one is True]
        if len(kept) == len(events):
            return kept, None
        return kept, AppliedConsent(analytics=bool(kept), not_kept=_counted(judged))

    def _applied(self, said: int) -> AppliedConsent | None:
        applied = AppliedConsent(
            personalization=self._policy.personalization(said), ads=self._policy.ads(said)
        )
        return None if applied == AppliedConsent() else applied

    def _default(self, visit: VisitCall, *, has_session: bool, withdrawn: bool) -> NotKept | bool:
        if withdrawn or self._is_withdrawn(visit):
            return NotKept.WITHDRAWN
        if has_session or self._keeps_unsaid:
            return True
        return NotKept.DEFAULT

    def _is_withdrawn(self, visit: VisitCall) -> bool:
        withdrawn = self._withdrawn
        # It may have been under another key for pseudonyms.
        return len(withdrawn) > 0 and any(key in withdrawn for key in visit.possible_keys())

    def _part(self, visit: VisitCall, keeps: Sequence[bool]) -> VisitCall:
        """Give a call without some of its events; what they say of other purposes stays said."""
        events: list[pb.Event] = []
        unsaid: list[pb.Consent] = []
        for event, is_kept in zip(visit.events, keeps, strict=True):
            if not is_kept:
                if event.HasField("consent"):
                    unsaid.append(event.consent)
                continue
            for consent in reversed(unsaid):
                _say_the_rest(consent, event)
            unsaid.clear()
            events.append(event)
        call = visit.call
        batch = events_from_proto(
            events, call.visitor, call.visitor if visit.identified else 0,
            visit.received_time_us, self._shop,
        )  # fmt: skip
        sequence = events[0].sequence if events[0].HasField("sequence") else None
        narrowed = replace(
            call,
            batch=batch,
            event_ids=tuple([event.event_id for event in events]),
            first_sequence=sequence,
        )
        return replace(visit, call=narrowed, events=events, consent=None)


async def withdrawn_by(kept: Kept, withdrawals: Withdrawals) -> Withdrawal:
    """Delete what was kept of a call's session, where the call withdraws; tell what came of it."""
    if not kept.withdraws or kept.visit.is_dry_run:
        return Withdrawal.NONE
    return await withdraw_all(withdrawals, kept.visit.possible_keys())


def end_without_events(kept: Kept, withdrawal: Withdrawal, observer: Observer) -> None:
    """Raise `SessionNotFoundError` for a denied call without events: nothing is left to score.

    There is no answer to tell of what it withdrew, so that the error does, and it is counted here.
    """
    if kept.visit.call.event_ids:
        return
    if withdrawal is Withdrawal.NONE:
        raise SessionNotFoundError
    observer.consent_applied(AppliedConsent(withdrawal=withdrawal))
    raise SessionNotFoundError(withdrawal.value)


def apart(call: ScoreCall) -> ScoreCall:
    """Give a call as it is scored by itself: what was before it is not missed."""
    return replace(call, first_sequence=None, user=None)


def _say_the_rest(consent: pb.Consent, event: pb.Event) -> None:
    rest = pb.Consent(
        personalization=consent.personalization,
        ads=consent.ads,
        global_privacy_control=consent.global_privacy_control,
    )
    say_for_all(rest, [event])


def _counted(reasons: Sequence[NotKept | bool]) -> tuple[tuple[NotKept, int], ...]:
    counts = Counter(reason for reason in reasons if isinstance(reason, NotKept))
    return tuple((reason, counts[reason]) for reason in NotKept if counts[reason])


OPEN: Final = ConsentGate(GRANTED, WithdrawnSessions(0.0, 0), Shop())
