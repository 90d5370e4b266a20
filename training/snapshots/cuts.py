"""The shop's midnights: when snapshots are cut, and the numbering of its days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from micromoment.events.shop import Shop

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Cut:
    """The start of a shop-day: its number (`date.toordinal`) and time in us since 1970."""

    day: date
    time_us: int

    @property
    def number(self) -> int:
        """The day's number; the day before has one less."""
        return self.day.toordinal()


def cut_at(day: date, shop: Shop) -> Cut:
    """Give the first moment of a shop-day, also where the clock change takes midnight away."""
    midnight = datetime.combine(day, time(), shop.zone).astimezone(UTC)
    return Cut(day, (midnight - _EPOCH) // _MICROSECOND)


def cuts_between(first_day: date, last_day: date, shop: Shop) -> list[Cut]:
    """Give the cuts of all days from `first_day` to `last_day`, both included."""
    days = range((last_day - first_day).days + 1)
    return [cut_at(first_day + timedelta(days=offset), shop) for offset in days]
