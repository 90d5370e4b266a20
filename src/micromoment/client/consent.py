"""Says what a visitor agreed to, and reads from a reply whether it may be acted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from micromoment.v1 import events_pb2, scoring_pb2

Answer = Literal["", "granted", "denied"]

_ANSWERS: Final = {
    "": events_pb2.CONSENT_STATE_UNSPECIFIED,
    "granted": events_pb2.CONSENT_STATE_GRANTED,
    "denied": events_pb2.CONSENT_STATE_DENIED,
}
# Google's names by purpose. What keeps a shop working (functionality_storage, security_storage) is
# no purpose of this service.
_MODE: Final = {
    "analytics": ("analytics_storage",),
    "personalization": ("personalization_storage",),
    "ads": ("ad_storage", "ad_user_data", "ad_personalization"),
}
_OTHERS: Final = frozenset({"functionality_storage", "security_storage"})
_WITHHELD: Final[
    Mapping[
        Literal["actions", "audiences", "segment", "experiments"], events_pb2.Withheld.ValueType
    ]
] = {
    "actions": events_pb2.WITHHELD_ACTIONS,
    "audiences": events_pb2.WITHHELD_AUDIENCES,
    "segment": events_pb2.WITHHELD_AUDIENCES,
    "experiments": events_pb2.WITHHELD_EXPERIMENTS,
}


def consent(
    *,
    analytics: Answer = "",
    personalization: Answer = "",
    ads: Answer = "",
    global_privacy_control: bool = False,
) -> events_pb2.Consent:
    """Build a consent; an empty answer says nothing. Raises `ValueError` for another word."""
    return events_pb2.Consent(
        analytics=_answer("analytics", analytics),
        personalization=_answer("personalization", personalization),
        ads=_answer("ads", ads),
        global_privacy_control=global_privacy_control,
    )


def consent_mode(
    answers: Mapping[str, str], *, global_privacy_control: bool = False
) -> events_pb2.Consent:
    """Build a consent of Google's Consent Mode v2: `{"analytics_storage": "denied", ...}`.

    Of several names of one purpose a denial wins. Raises `ValueError` for a name or a word that is
    none: a misspelt denial would be lost in silence.
    """
    known = {name for names in _MODE.values() for name in names} | _OTHERS
    for name in answers:
        if name not in known:
            raise ValueError(f"{name!r} is none of {', '.join(sorted(known))}")
        _answer(name, answers[name])
    said = {
        purpose: max(_answer(name, answers.get(name, "")) for name in names)
        for purpose, names in _MODE.items()
    }
    return events_pb2.Consent(
        analytics=said["analytics"],
        personalization=said["personalization"],
        ads=said["ads"],
        global_privacy_control=global_privacy_control,
    )


def may_personalize(reply: scoring_pb2.ScoreResponse) -> bool:
    """Tell whether what a reply says may be acted on.

    A fallback knows what its own request said, and nothing of what the visit said before: send the
    consent with every request.
    """
    return reply.consent.personalization != events_pb2.CONSENT_STATE_DENIED


def is_denied(request: scoring_pb2.ScoreRequest) -> bool:
    """Tell whether a request says, in its last event that says anything, not to personalize."""
    said = request.consent.personalization
    for event in request.events:
        said = event.consent.personalization or said
    return said == events_pb2.CONSENT_STATE_DENIED


def withhold(reply: scoring_pb2.ScoreResponse) -> None:
    """Take out of a reply what would be acted on, and say so, as the service does."""
    for name in _WITHHELD:
        reply.ClearField(name)
    reply.evidence.abstain = True
    reply.evidence.abstain_reasons.append(scoring_pb2.ABSTAIN_REASON_CONSENT)
    reply.consent.personalization = events_pb2.CONSENT_STATE_DENIED
    reply.consent.withheld.extend(dict.fromkeys(_WITHHELD.values()))


def _answer(name: str, word: str) -> events_pb2.ConsentState.ValueType:
    if word not in _ANSWERS:
        raise ValueError(f"{name} is {word!r}, neither granted nor denied")
    return _ANSWERS[word]
