"""The rhythm of a week: when visits begin and how the hour colours them. All times are UTC."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.streams import Stream, uniform

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

# Relative traffic from Monday to Sunday.
WEEKDAY_TRAFFIC: Final = np.array([1.08, 1.06, 1.04, 1.0, 0.92, 0.88, 1.02])
_WORKDAY_HOURS: Final = np.array(
    [2, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 7, 7, 6, 6, 6, 6, 7, 9, 10, 9, 7, 4], dtype=np.float64
)
_WEEKEND_HOURS: Final = np.array(
    [3, 2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 8, 8, 8, 7, 7, 7, 8, 8, 7, 6, 4], dtype=np.float64
)


def _shares(hours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.cumsum(hours) / hours.sum()


# Cumulative shares of the hours, shape (2, 24): workdays, weekends.
HOUR_SHARES: Final = np.stack([_shares(_WORKDAY_HOURS), _shares(_WEEKEND_HOURS)])


@compiled
def weekday(time_us: int) -> int:
    """Give the day of the week of a time, 0 for Monday."""
    return (time_us // DAY_US + 3) % 7


@compiled
def is_weekend(time_us: int) -> bool:
    """Tell Saturday and Sunday from the rest."""
    return weekday(time_us) >= 5


@compiled
def moment_of_day(day_start_us: int, rng: Stream) -> int:
    """Draw the moment of a visit within a day, in microseconds since 1970."""
    draw = uniform(rng)
    kind = 1 if is_weekend(day_start_us) else 0
    hour = 0
    while hour < 23 and HOUR_SHARES[kind, hour] < draw:
        hour += 1
    return day_start_us + hour * HOUR_US + int(uniform(rng) * HOUR_US)


@compiled
def mood_of_hour(time_us: int, on_phone: int) -> float:
    """How the hour bears on the readiness to buy: evenings at a desk help, nights don't."""
    hour = (time_us % DAY_US) // HOUR_US
    mood = 0.0
    if 18 <= hour <= 22:
        mood += -0.1 if on_phone == 1 else 0.4
    elif hour < 6:
        mood -= 0.4
    if is_weekend(time_us):
        mood -= 0.2
    return mood
