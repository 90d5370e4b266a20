"""Where a visit comes from and when it happens, by hand."""

from dataclasses import replace
from math import isnan

import pytest

from micromoment.events.shop import Shop
from micromoment.events.vocabulary import DeviceType, ReferrerMedium
from tests.support.events import DAY, MINUTE, START_US, an_event, to_batch
from tests.support.folding import features_of, fold, vector


@pytest.mark.parametrize(
    ("offset", "hour", "weekday"),
    [(0, 10.0, 2), (345, 15.75, 2), (-660, 23.0, 1), (840, 0.0, 3), (-615, 23.75, 1)],
)
def test_local_time(offset: int, hour: float, weekday: int) -> None:
    """Wednesday 10:00 UTC is another hour, perhaps another day, where the visitor is."""
    features = features_of([an_event(utc_offset_minutes=offset)])
    assert (features["hour_local"], features["weekday"]) == (hour, weekday)


def test_local_time_is_that_of_the_moment_described() -> None:
    """The hour moves on with the time asked for; over midnight so does the day."""
    features = features_of([an_event()], now=START_US + 14 * 60 * MINUTE)
    assert (features["hour_local"], features["weekday"]) == (0.0, 3)


def test_without_an_offset_the_shop_s_zone_counts() -> None:
    """In New York it is 6:00 in summer and 5:00 in winter when it is 10:00 UTC."""
    shop = Shop(time_zone="America/New_York")
    summer = an_event()
    winter = replace(summer, event_time=START_US - 120 * DAY)
    for event, hour in ((summer, 6.0), (winter, 5.0)):
        assert vector(fold(to_batch([event], shop)))[0]["hour_local"] == hour


def test_device_and_source() -> None:
    """The last known device counts, and the first known source; silence changes neither."""
    visit = [
        an_event(event_id="e1"),
        an_event(event_id="e2", device=DeviceType.MOBILE, medium=ReferrerMedium.PAID),
        an_event(event_id="e3", device=DeviceType.TABLET, medium=ReferrerMedium.EMAIL),
        an_event(event_id="e4"),
    ]
    features = features_of(visit)
    assert features["device"] == DeviceType.TABLET
    assert features["referrer_medium"] == ReferrerMedium.PAID
    features = features_of(visit[:1])
    assert isnan(features["device"])
    assert isnan(features["referrer_medium"])


def test_identified() -> None:
    """Once known, the visitor stays known for the visit."""
    visit = [an_event(), an_event(event_id="e2", user_id="u1"), an_event(event_id="e3")]
    assert features_of(visit[:1])["is_identified"] == 0
    assert features_of(visit)["is_identified"] == 1
