"""Where a visit comes from and when it happens, by hand."""

from dataclasses import replace
from datetime import datetime
from math import isnan

import pytest

from micromoment.events.shop import Shop
from micromoment.events.vocabulary import DeviceType, ReferrerMedium
from tests.support.events import DAY, MINUTE, SECOND, START_US, an_event, to_batch
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


@pytest.mark.parametrize(
    ("day", "days"),
    [
        ("2024-01-14", 30),  # 31 to Valentine's Day
        ("2024-01-15", 30),
        ("2024-01-16", 29),
        ("2024-02-14", 0),
        ("2024-05-01", 11),  # Mother's Day is the 12th
        ("2022-05-01", 7),  # a month that begins on a Sunday: the 8th
        ("2024-11-11", 0),
        ("2024-11-28", 1),  # Thanksgiving
        ("2024-11-30", 2),  # Cyber Monday is in December
        ("2019-11-28", 1),  # the fourth Thursday, not the last
        ("2024-12-24", 1),
        ("2024-12-26", 30),
        ("2100-12-26", 30),
    ],
)
def test_days_to_the_next_day_of_note(day: str, days: int) -> None:
    """Days of note are counted to, the day itself is 0, and 30 is the most."""
    time = int(datetime.fromisoformat(f"{day}T12:00Z").timestamp()) * SECOND
    assert features_of([an_event()], now=time)["days_to_special_day"] == days


@pytest.mark.parametrize(("offset", "days"), [(0, 1), (59, 1), (60, 0)])
def test_days_of_note_begin_at_the_visitor_s_midnight(offset: int, days: int) -> None:
    """On Christmas Eve at 23:00 UTC it is Christmas where clocks are an hour ahead or more."""
    time = int(datetime.fromisoformat("2024-12-24T23:00Z").timestamp()) * SECOND
    visit = [an_event(event_time=time, utc_offset_minutes=offset)]
    assert features_of(visit)["days_to_special_day"] == days
