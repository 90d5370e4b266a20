"""Which calls are refused when more arrive than can be answered: a policy without a clock."""

from __future__ import annotations

from typing import Final

from micromoment.transport.errors import OverloadedError

# Refusing takes a quarter of the time of answering, gRPC's own work in both. At one refusal for
# four answers it takes a sixteenth of all time.
MOST: Final = 0.2
# How much of a number lives on from one measurement to the next that finds no more calls waiting.
_FADING: Final = 0.5
# From the first number of calls waiting on gRPC's core drops some, from so many times it all.
DROPS_ALL: Final = 1.25
# Fewer that wait are no overload, however long: something else kept the processor for a moment.
_FEW: Final = 10
# A burst that is worked off is no overload either: it must be there in so many measurements.
_LASTING: Final = 2
_STEP: Final = 0.05
_LEAST: Final = 0.02


class Shedding:
    """Refuses a share of the calls while those that wait would wait longer than `max_wait_s`.

    The same while more than `most_waiting` wait: beyond it gRPC's core drops calls by itself.
    """

    def __init__(self, max_wait_s: float, most_waiting: int) -> None:
        self._max_wait_s = max_wait_s
        self._most_waiting = most_waiting
        self._waiting = 0.0
        self._lasting = 0
        self._credit = 0.0
        self.share = 0.0
        self.wait_s = 0.0

    @property
    def is_on(self) -> bool:
        """Whether calls are being refused."""
        return self.share > 0.0

    def measured(self, arrived: int, taken: int, seconds: float) -> None:
        """Take in how many calls arrived and how many were taken within the last `seconds`."""
        more = arrived - taken
        # What the core dropped is counted as arrived and never as taken, so the number fades.
        waiting = self._waiting * _FADING if abs(more) * 20 <= arrived else self._waiting
        self._waiting = min(max(waiting + more, 0.0), DROPS_ALL * self._most_waiting)
        self.wait_s = self._waiting * seconds / max(taken, 1)
        is_long = self.wait_s > self._max_wait_s and self._waiting > _FEW
        is_full = self._waiting > self._most_waiting
        self._lasting = self._lasting + 1 if is_long or is_full else 0
        if self._lasting >= _LASTING:
            beyond = max(more / arrived, 0.0) if arrived else 0.0
            self.share = min(max(self.share, beyond) + _STEP, MOST)
        else:
            self.share = self.share * _FADING if self.share > _LEAST else 0.0

    def refuses(self, cost: float = 1.0) -> bool:
        """Tell whether work that takes as long as `cost` calls is refused: evenly, by the share."""
        if not self.share:
            return False
        self._credit += self.share * cost
        if self._credit < 1.0:
            return False
        self._credit = min(self._credit - 1.0, 1.0)
        return True

    def check(self, cost: float = 1.0) -> None:
        """Raise `OverloadedError` for work that is refused."""
        if self.refuses(cost):
            raise OverloadedError("max_wait")


# For what no server is watched for.
NEVER: Final = Shedding(max_wait_s=float("inf"), most_waiting=0)
