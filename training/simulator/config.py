"""What a simulated shop is made from, and what a simulation reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from micromoment.errors import InvalidSettingError
from training.simulator.shopping.codes import N_CATEGORIES
from training.simulator.shopping.rhythm import DAY_US


@dataclass(frozen=True)
class ExportHabits:
    """Rates of what makes a GA4 export untidy; each is a share between 0 and 1.

    Attributes:
        repeated_purchase: orders whose purchase event is sent again.
        unset_order: orders whose transaction_id reads "(not set)".
        parallel_session: visits beside which the same visitor opens another session.
        stray_row: sessions with one more row that has no ga_session_id.
    """

    repeated_purchase: float = 0.12
    unset_order: float = 0.25
    parallel_session: float = 0.01
    stray_row: float = 0.002


@dataclass(frozen=True)
class ShopConfig:
    """Everything that decides a simulation; equal configs give equal files, byte for byte.

    Attributes:
        seed: any integer from 0.
        start: first day, in UTC, which is the shop's time zone.
        days: days in the export.
        sessions_per_day: expected sessions a day over a whole week.
        n_items: items in the catalogue, at least one per category.
        target_conversion: expected share of sessions with a purchase, 0.002 to 0.2.
        burn_in_days: days lived before `start` and not exported, so that visitors have a past.
        habits: rates of the export's untidiness.
    """

    seed: int = 7
    start: date = date(2024, 3, 4)
    days: int = 14
    sessions_per_day: int = 1200
    n_items: int = 60
    target_conversion: float = 0.03
    burn_in_days: int = 21
    habits: ExportHabits = ExportHabits()

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", "must not be negative")
        _require(self.days >= 1, "days", "must be at least 1")
        _require(self.sessions_per_day >= 1, "sessions_per_day", "must be at least 1")
        _require(self.burn_in_days >= 0, "burn_in_days", "must not be negative")
        _require(
            N_CATEGORIES <= self.n_items <= 600,
            "n_items",
            f"must lie between {N_CATEGORIES} and 600",
        )
        _require(
            0.002 <= self.target_conversion <= 0.2,
            "target_conversion",
            "must lie between 0.002 and 0.2",
        )
        for name, share in vars(self.habits).items():
            _require(0 <= share <= 1, f"habits.{name}", "must lie between 0 and 1")

    @property
    def start_us(self) -> int:
        """First moment of the export, in microseconds since 1970 UTC."""
        return int(datetime.combine(self.start, time(), UTC).timestamp()) * 1_000_000

    @property
    def end_us(self) -> int:
        """First moment after the export, in microseconds since 1970 UTC."""
        return self.start_us + self.days * DAY_US

    def day(self, number: int) -> date:
        """Give the date of a day of the export, counted from 0."""
        return self.start + timedelta(days=number)


@dataclass(frozen=True)
class SimulationReport:
    """What was written: counts of visitors, sessions, rows, purchase rows and truth rows."""

    days: int
    users: int
    sessions: int
    events: int
    purchases: int
    converted_sessions: int
    truth_points: int

    def __str__(self) -> str:
        text = (
            f"{self.days} days: {self.users:,} visitors, {self.sessions:,} sessions, "
            f"{self.events:,} events, {self.purchases:,} purchase events "
            f"in {self.converted_sessions:,} sessions; days by UTC, prices in USD"
        )
        return f"{text}; {self.truth_points:,} true probabilities" if self.truth_points else text


def _require(holds: bool, setting: str, detail: str) -> None:
    if not holds:
        raise InvalidSettingError(setting, detail)
