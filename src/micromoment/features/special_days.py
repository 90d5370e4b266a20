"""Days around which people shop otherwise, as a table that compiled code can search.

Valentine's Day (14 February), Mother's Day (second Sunday of May), Singles' Day (11 November),
Black Friday (after the fourth Thursday of November), Cyber Monday (the Monday after it) and
Christmas (25 December).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

_EPOCH = date(1970, 1, 1).toordinal()
_YEARS = range(1970, 2101)
_SUNDAY = 6
_THURSDAY = 3


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _days_of(year: int) -> Iterator[date]:
    yield date(year, 2, 14)
    yield _nth_weekday(year, 5, _SUNDAY, 2)
    yield date(year, 11, 11)
    thanksgiving = _nth_weekday(year, 11, _THURSDAY, 4)
    yield thanksgiving + timedelta(days=1)
    yield thanksgiving + timedelta(days=4)
    yield date(year, 12, 25)


def _special_days() -> npt.NDArray[np.int64]:
    ordinals = [day.toordinal() - _EPOCH for year in _YEARS for day in _days_of(year)]
    return np.array(sorted(ordinals), dtype=np.int64)


# Days since 1970-01-01, ascending.
SPECIAL_DAYS: Final = _special_days()
