"""What must be known of the shop to read its events: currency and time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from micromoment.errors import InvalidSettingError

# Offsets change on a quarter of an hour, so one look-up serves the whole quarter. (Until 2011 a few
# zones changed at 0:01: there the old offset holds for the quarter.)
_QUARTER_HOUR_US = 15 * 60 * 1_000_000


@dataclass(frozen=True)
class Shop:
    """Currency (ISO 4217; empty takes any) and IANA time zone of one shop."""

    currency: str = ""
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.currency and not is_currency(self.currency):
            raise InvalidSettingError("currency", f"{self.currency!r} is no ISO 4217 code")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidSettingError(
                "time_zone", f"{self.time_zone!r} is no IANA time zone"
            ) from None

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone's rules."""
        return ZoneInfo(self.time_zone)

    def accepts(self, currency: str) -> bool:
        """Tell whether prices in `currency` can be used; empty means the shop's own."""
        return not currency or not self.currency or currency == self.currency

    def utc_offset_minutes(self, time_us: int) -> int:
        """Give the shop's offset from UTC, in minutes, at a time in microseconds."""
        return _offset_of_quarter(self.time_zone, time_us // _QUARTER_HOUR_US)

    def utc_offsets_minutes(self, times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
        """Do the same for an array of times, shape (n,), int16."""
        quarters, inverse = np.unique(times_us // _QUARTER_HOUR_US, return_inverse=True)
        offsets = [_offset_of_quarter(self.time_zone, int(quarter)) for quarter in quarters]
        return np.array(offsets, dtype=np.int16)[inverse]


def is_currency(code: str) -> bool:
    """Tell whether `code` has the form of an ISO 4217 code: three capital letters."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


@lru_cache(maxsize=65_536)
def _offset_of_quarter(time_zone: str, quarter: int) -> int:
    moment = datetime.fromtimestamp(quarter * _QUARTER_HOUR_US / 1_000_000, tz=UTC)
    offset = moment.astimezone(ZoneInfo(time_zone)).utcoffset()
    return int(offset.total_seconds() // 60) if offset is not None else 0
