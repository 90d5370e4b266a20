"""Where the visit comes from and when it happens: device, referrer, local time, days of note.

The days of note are Valentine's Day, Mother's Day (second Sunday of May), Singles' Day, Black
Friday, Cyber Monday and Christmas. How many days are left to the next is counted up to 30. A model
learns from it only where training spans a year or more: in a few weeks it could only tell the date.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.lookup import count_below
from micromoment.features.spec import FeatureSpec
from micromoment.features.special_days import SPECIAL_DAYS

STATE_FIELDS = [
    ("device", "u1"),
    ("medium", "u1"),
    ("identified", "u1"),
    ("utc_offset", "i2"),
]

_WEEKDAYS = dict(
    enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))
)
_DEVICES = {
    1: "a computer",
    2: "a mobile phone",
    3: "a tablet",
    4: "the shop's app",
    5: "another device",
}
_MEDIA = {
    1: "directly, without a link",
    2: "from a search engine",
    3: "from a paid advertisement",
    4: "by a link on another site",
    5: "from a mail",
    6: "from social media",
    7: "from a partner site",
    8: "from a banner",
    9: "from another source",
}

FEATURES = (
    FeatureSpec("hour_local", "h", "hour of the day where the visitor is, with its fraction",
                group="time", says=wording.clock("It is {} where the visitor is")),
    FeatureSpec("weekday", "0-6", "day of the week there, Monday is 0",
                group="time", says=wording.code("It is {}", _WEEKDAYS)),
    FeatureSpec("days_to_special_day", "days", "days to the next day of note, up to 30",
                min_days=365,
                group="time", says=wording.count("Today is a day of note",
                    "Tomorrow is a day of note, such as Black Friday",
                    "{} days to the next day of note, such as Black Friday")),
    FeatureSpec("device", "code", "kind of device, DeviceType", "not known",
                group="device", says=wording.code("Comes with {}", _DEVICES, "Device not known")),
    FeatureSpec("referrer_medium", "code", "first known source, ReferrerMedium", "none known",
                group="source", says=wording.code("Came {}", _MEDIA,
                    "Source of the visit not known")),
    FeatureSpec("is_identified", "0/1", "the visitor is a known customer",
                group="account", says=wording.fact("Not logged in", "Known customer")),
)  # fmt: skip

_US_PER_MINUTE = 60_000_000
_MINUTES_PER_DAY = 1_440
_SPECIAL_DAYS_CAP = 30
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


@compiled
def observe(state: Any, event: Any) -> None:
    """Fold one event."""
    if event["device"] > 0:
        state["device"] = event["device"]
    if state["medium"] == 0:
        state["medium"] = event["medium"]
    if event["user"] != 0:
        state["identified"] = 1
    state["utc_offset"] = event["utc_offset"]


@compiled
def describe(state: Any, now: int, out: Any) -> None:
    """Write the family's features as of `now`."""
    minutes = now // _US_PER_MINUTE + int(state["utc_offset"])
    out["hour_local"] = (minutes % _MINUTES_PER_DAY) / 60.0
    day = minutes // _MINUTES_PER_DAY
    out["weekday"] = (day + _EPOCH_WEEKDAY) % 7
    out["days_to_special_day"] = _days_to_special_day(day)
    out["device"] = state["device"] if state["device"] > 0 else np.nan
    out["referrer_medium"] = state["medium"] if state["medium"] > 0 else np.nan
    out["is_identified"] = state["identified"]


@compiled
def _days_to_special_day(day: int) -> int:
    place = count_below(SPECIAL_DAYS, day)
    if place == len(SPECIAL_DAYS):
        return _SPECIAL_DAYS_CAP
    return min(int(SPECIAL_DAYS[place]) - day, _SPECIAL_DAYS_CAP)
