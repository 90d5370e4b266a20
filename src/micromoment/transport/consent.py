"""What a request says of consent, and what counts where it says nothing.

What an event says counts, else what its request says, else what the session last had, else the
settings: purpose by purpose.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from micromoment.events.proto_codec import consent_flags
from micromoment.events.record import (
    FLAG_ADS_DENIED,
    FLAG_ADS_GRANTED,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PERSONALIZATION_GRANTED,
    FLAG_PRIVACY_CONTROL,
)
from micromoment.scoring.calls import NotKept
from micromoment.v1 import events_pb2 as pb

# Of an event and analytics: granted, why it is not, or nothing was said up to there.
Verdict = NotKept | bool | None


@dataclass(frozen=True, slots=True)
class SaidConsent:
    """What a request says of consent: of analytics for each event, and for all of it together.

    `last` may be a denial that none of the `events` says: of the request, or of an event left out.
    `flags` are those of the request's own consent, as of an event.
    """

    events: tuple[Verdict, ...]
    last: Verdict
    flags: int

    def is_granted(self, *, by_default: bool) -> bool:
        """Tell whether analytics are granted for all events, for silent ones `by_default`."""
        for one in (*self.events, self.last):
            if one is not True and (one is not None or not by_default):
                return False
        return True

    def only(self, places: Sequence[int]) -> SaidConsent:
        """Give what is said of some of the events; a denial of the whole request stays one."""
        kept = tuple([self.events[place] for place in places])
        last = self.last if self.is_denied or not kept else kept[-1]
        return SaidConsent(kept, last, self.flags)

    @property
    def is_denied(self) -> bool:
        """Tell whether analytics were denied for the request as a whole."""
        return isinstance(self.last, NotKept)


class Purpose(StrEnum):
    """What consent is given for."""

    ANALYTICS = "analytics"
    PERSONALIZATION = "personalization"
    ADS = "ads"


@dataclass(frozen=True, slots=True)
class ConsentPolicy:
    """Which purposes count as granted where nothing is said, and what privacy control denies.

    Global Privacy Control denies ads always.
    """

    granted: frozenset[Purpose] = frozenset(Purpose)
    control_denies: frozenset[Purpose] = frozenset()

    @property
    def grants_all(self) -> bool:
        """Tell whether everything is granted where nothing is said."""
        return len(self.granted) == len(Purpose)

    def personalization(self, said: int) -> bool:
        """Tell whether what was said, as `CONSENT_FLAGS`, lets scores be acted on."""
        if said & FLAG_PRIVACY_CONTROL and Purpose.PERSONALIZATION in self.control_denies:
            return False
        if said & (FLAG_PERSONALIZATION_DENIED | FLAG_PERSONALIZATION_GRANTED):
            return not said & FLAG_PERSONALIZATION_DENIED
        return Purpose.PERSONALIZATION in self.granted

    def ads(self, said: int) -> bool:
        """Tell whether what was said lets scores serve advertising."""
        if said & (FLAG_PRIVACY_CONTROL | FLAG_ADS_DENIED):
            return False
        return bool(said & FLAG_ADS_GRANTED) or Purpose.ADS in self.granted


GRANTED: Final = ConsentPolicy()


def say_for_all(consent: pb.Consent, events: Sequence[pb.Event]) -> None:
    """Write what a request says of consent into those of its events that don't say it themselves.

    So that an event says everything wherever it goes: into the session, the log, training. Raises
    `OutsideContractError` for an answer that is none.
    """
    consent_flags(consent)
    for event in events:
        own = event.consent
        if not event.HasField("consent"):
            own.CopyFrom(consent)
            continue
        own.analytics = own.analytics or consent.analytics
        own.personalization = own.personalization or consent.personalization
        own.ads = own.ads or consent.ads
        own.global_privacy_control |= consent.global_privacy_control


def said_in(
    consent: pb.Consent | None, events: Sequence[pb.Event], policy: ConsentPolicy
) -> SaidConsent:
    """Give what a request says of consent, itself and in its events after `say_for_all`."""
    verdicts: list[Verdict] = []
    so_far: Verdict = None
    for event in events:
        own = verdict_of(event.consent, policy) if event.HasField("consent") else None
        so_far = so_far if own is None else own
        verdicts.append(so_far)
    flags = 0 if consent is None else consent_flags(consent)
    if verdicts:
        return SaidConsent(tuple(verdicts), verdicts[-1], flags)
    return SaidConsent((), None if consent is None else verdict_of(consent, policy), flags)


def said_with_refused(
    request: pb.IngestRequest, refused: Collection[int], policy: ConsentPolicy
) -> SaidConsent:
    """Give what a request says of consent, of which some events are refused, after `say_for_all`.

    A refused event's denial of analytics counts in its place; that it grants them counts nowhere.
    """
    own = request.consent if request.HasField("consent") else None
    verdicts: list[Verdict] = []
    so_far: Verdict = None
    for place, event in enumerate(request.events):
        if place in refused:
            so_far = _denial_in(event, own, policy) or so_far
            continue
        said = verdict_of(event.consent, policy) if event.HasField("consent") else None
        so_far = so_far if said is None else said
        verdicts.append(so_far)
    if so_far is None and own is not None:
        so_far = verdict_of(own, policy)
    return SaidConsent(tuple(verdicts), so_far, 0 if own is None else consent_flags(own))


def _denial_in(
    event: pb.Event, consent: pb.Consent | None, policy: ConsentPolicy
) -> NotKept | None:
    said = pb.Event(consent=event.consent)
    if consent is not None:
        say_for_all(consent, [said])
    verdict = verdict_of(said.consent, policy)
    return verdict if isinstance(verdict, NotKept) else None


def verdict_of(consent: pb.Consent, policy: ConsentPolicy) -> Verdict:
    """Tell what a consent says of analytics."""
    if consent.global_privacy_control and Purpose.ANALYTICS in policy.control_denies:
        return NotKept.PRIVACY_CONTROL
    if consent.analytics == pb.CONSENT_STATE_DENIED:
        return NotKept.DENIED
    return True if consent.analytics == pb.CONSENT_STATE_GRANTED else None
