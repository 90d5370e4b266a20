"""What the transport tells whoever measures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from micromoment.scoring.calls import AppliedConsent, Degraded, Score

if TYPE_CHECKING:
    from micromoment.transport.visitors import VisitCall

Stage = Literal["decode", "store", "user", "score", "features", "models", "encode"]
RefusalReason = Literal["max_wait", "max_concurrent", "max_streams"]  # settings
EventOutcome = Literal["accepted", "duplicate", "refused", "erased", "masked"]


class Observer(Protocol):
    """Takes measurements; nothing that it is given holds an id of a person or a visit."""

    def call_ended(self, method: str, code: str, seconds: float) -> None:
        """Take note of a call, how it ended, and how long after it was taken from gRPC."""

    def call_waited(self, seconds: float) -> None:
        """Take note of how long a call that was taken waited for its turn."""

    def call_refused(self, method: str, reason: RefusalReason) -> None:
        """Take note of a call, stream or request on one that is too much."""

    def stage_ended(self, stage: Stage, seconds: float) -> None:
        """Take note of how long a part of scoring took."""

    def scored(self, score: Score) -> None:
        """Take note of an answer."""

    def lacked(self, reason: Degraded) -> None:
        """Take note of what an answer lacked that was not yet known when it was made."""

    def events_taken(self, outcome: EventOutcome, events: int) -> None:
        """Take note of what became of events."""

    def consent_applied(self, consent: AppliedConsent) -> None:
        """Take note of what was not kept, deleted or withheld for want of consent."""


def note_answer(observer: Observer, score: Score, visit: VisitCall) -> None:
    """Take note of an answer and of what became of its events."""
    call = visit.call
    observer.scored(score)
    if visit.late:
        observer.events_taken("erased", visit.late)
    if score.consent is not None:
        observer.consent_applied(score.consent)
    if not call.dry_run and (score.consent is None or score.consent.analytics):
        events = len(call.event_ids) - score.duplicates
        if score.consent is not None:
            events -= sum(some for _, some in score.consent.not_kept)
        observer.events_taken("accepted", events)
        observer.events_taken("duplicate", score.duplicates)


class NoObserver:
    """Measures nothing."""

    def call_ended(self, method: str, code: str, seconds: float) -> None:
        """Ignore it."""

    def call_waited(self, seconds: float) -> None:
        """Ignore it."""

    def call_refused(self, method: str, reason: RefusalReason) -> None:
        """Ignore it."""

    def stage_ended(self, stage: Stage, seconds: float) -> None:
        """Ignore it."""

    def scored(self, score: Score) -> None:
        """Ignore it."""

    def lacked(self, reason: Degraded) -> None:
        """Ignore it."""

    def events_taken(self, outcome: EventOutcome, events: int) -> None:
        """Ignore it."""

    def consent_applied(self, consent: AppliedConsent) -> None:
        """Ignore it."""
