"""What a storefront says of consent, and what it reads in a reply."""

from __future__ import annotations

import pytest

from micromoment.client import consent, consent_mode, event, may_personalize, score_request
from micromoment.client.consent import is_denied, withhold
from micromoment.v1 import events_pb2 as pb
from micromoment.v1.scoring_pb2 import ScoreResponse

DENIED = consent(personalization="denied")
GRANTED = consent(personalization="granted")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, consent()),
        ({"analytics_storage": "denied"}, consent(analytics="denied")),
        ({"personalization_storage": "granted"}, consent(personalization="granted")),
        ({"ad_storage": "granted"}, consent(ads="granted")),
        ({"ad_storage": "granted", "ad_user_data": "denied"}, consent(ads="denied")),
        ({"ad_personalization": "denied", "functionality_storage": "granted"},
         consent(ads="denied")),
    ],
)  # fmt: skip
def test_google_s_names_are_taken(answers: dict[str, str], expected: pb.Consent) -> None:
    """Of several names of one purpose a denial wins."""
    assert consent_mode(answers) == expected
    with_signal = consent_mode(answers, global_privacy_control=True)
    assert with_signal.global_privacy_control


def test_what_is_no_answer_is_refused() -> None:
    """A misspelt denial would be lost in silence."""
    with pytest.raises(ValueError, match="analytics_store"):
        consent_mode({"analytics_store": "denied"})
    with pytest.raises(ValueError, match="neither"):
        consent_mode({"analytics_storage": "no"})
    with pytest.raises(ValueError, match="neither"):
        consent(ads="yes")  # type: ignore[arg-type] # which is the point


def test_a_fallback_knows_what_its_request_said() -> None:
    """The last event that says something counts, else the request; then nothing is to act on."""
    plain, no, yes = event("page_view"), event("page_view", consent=DENIED), event("page_view")
    yes.consent.CopyFrom(GRANTED)
    assert not is_denied(score_request("s", [plain]))
    assert is_denied(score_request("s", [plain], consent=DENIED))
    assert is_denied(score_request("s", [no, plain]))
    assert not is_denied(score_request("s", [no, yes], consent=DENIED))
    reply = ScoreResponse(conversion=0.02)
    reply.audiences.add(segment_id="a")
    reply.segment.segment_id = "a"
    assert may_personalize(reply)
    withhold(reply)
    assert not may_personalize(reply)
    assert (reply.conversion, len(reply.audiences), reply.HasField("segment")) == (0.02, 0, False)
    assert list(reply.consent.withheld) == [
        pb.WITHHELD_ACTIONS,
        pb.WITHHELD_AUDIENCES,
        pb.WITHHELD_EXPERIMENTS,
    ]
