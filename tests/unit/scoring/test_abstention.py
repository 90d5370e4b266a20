"""When a shop had better not act on a conversion."""

from __future__ import annotations

import pytest

from micromoment.scoring.abstention import NEVER_ABSTAIN, AbstainReason, Abstention
from micromoment.scoring.calls import AppliedConsent, Degraded
from tests.support.serving import a_score


def test_without_limits_a_server_never_abstains() -> None:
    """By default nothing is advised, however little is known."""
    score = a_score(events_seen=1, conversion=0.5, degraded=tuple(Degraded))
    assert NEVER_ABSTAIN.reasons(score) == ()


@pytest.mark.parametrize(("seen", "abstains"), [(1, True), (2, True), (3, False), (4, False)])
def test_too_few_events(seen: int, abstains: bool) -> None:
    """Below so many events, not at them."""
    reasons = Abstention(below_evidence=3).reasons(a_score(events_seen=seen))
    assert reasons == ((AbstainReason.TOO_FEW_EVENTS,) if abstains else ())


@pytest.mark.parametrize(
    ("error", "abstains"), [(None, True), (0.03, True), (0.02, False), (0.0, False)]
)
def test_a_calibration_error_above_the_limit(error: float | None, abstains: bool) -> None:
    """Above it, not at it; one that was never measured counts as above."""
    reasons = Abstention(above_calibration_error=0.02).reasons(a_score(calibration_error=error))
    assert reasons == ((AbstainReason.CALIBRATION_ERROR,) if abstains else ())


@pytest.mark.parametrize(
    ("conversion", "abstains"),
    [(0.24, False), (0.25, True), (0.3, True), (0.35, True), (0.36, False)],
)
def test_a_conversion_within_the_band(conversion: float, abstains: bool) -> None:
    """Both ends belong to the band."""
    reasons = Abstention(within=(0.25, 0.35)).reasons(a_score(conversion=conversion))
    assert reasons == ((AbstainReason.WITHIN_BAND,) if abstains else ())


@pytest.mark.parametrize("lacking", Degraded)
def test_what_is_lacking_counts_when_asked(lacking: Degraded) -> None:
    """Lost or unavailable events and features; what does not change the score does not count."""
    score = a_score(degraded=(lacking,))
    harmless = {
        Degraded.USER_FEATURES_STALE,
        Degraded.FOREIGN_CURRENCY,
        Degraded.LOG_UNAVAILABLE,
    }
    expected = () if lacking in harmless else (AbstainReason.DEGRADED,)
    assert Abstention(degraded=True).reasons(score) == expected
    assert Abstention().reasons(score) == ()


def test_every_reason_that_holds_is_told() -> None:
    """A score may lack in all respects at once."""
    strict = Abstention(5, (0.0, 1.0), 0.01, degraded=True)
    score = a_score(degraded=(Degraded.STATE_LOST,))
    score.consent = AppliedConsent(personalization=False)
    assert set(strict.reasons(score)) == set(AbstainReason)


def test_without_a_conversion_there_is_nothing_to_abstain_from() -> None:
    """Once converted, and of a bundle with churn alone."""
    strict = Abstention(5, (0.0, 1.0), 0.01, degraded=True)
    assert strict.reasons(a_score(conversion=None, degraded=tuple(Degraded))) == ()
