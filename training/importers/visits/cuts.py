"""Where a visitor's events are cut into sessions when the source doesn't say."""

from __future__ import annotations

from dataclasses import dataclass

from micromoment.errors import InvalidSettingError

_US_PER_MINUTE = 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class SessionRules:
    """When a session ends: after silence, by choice at the shop's midnight or on a new campaign.

    A session never spans more than `max_hours` from its first event.
    """

    expiry_minutes: int = 30
    at_midnight: bool = False
    on_campaign: bool = False
    max_hours: int = 24

    def __post_init__(self) -> None:
        for name, highest in (("expiry_minutes", 24 * 60), ("max_hours", 24 * 7)):
            if not 1 <= getattr(self, name) <= highest:
                raise InvalidSettingError(name, f"must be from 1 to {highest}")

    @property
    def gap_us(self) -> int:
        """The longest silence inside a session, in microseconds."""
        return self.expiry_minutes * _US_PER_MINUTE

    @property
    def span_us(self) -> int:
        """The longest time from a session's first event to its last, in microseconds."""
        return self.max_hours * 60 * _US_PER_MINUTE


class SessionCutter:
    """Name the session of each event, given in the order of visitor and time.

    A session is named `<visitor>.<time of its first event in microseconds>`.
    """

    def __init__(self, rules: SessionRules) -> None:
        self._rules = rules
        self._gap_us = rules.gap_us
        self._span_us = rules.span_us
        self._session_id = ""
        self._visitor = ""
        self._begun = 0
        self._last = 0
        self._day = ""
        self._campaign: str | None = None

    def session_of(
        self,
        visitor: str,
        event_time: int,
        day: str,
        campaign: str | None = None,
        known: str | None = None,
    ) -> str:
        """Give the session of an event, `known` where an earlier import has named it.

        `event_time` is in microseconds, `day` the shop's, `campaign` one that the event names.
        """
        if known is not None or self._ends_before(visitor, event_time, day, campaign):
            self._begin(known or f"{visitor}.{event_time}", event_time)
        if campaign is not None:
            self._campaign = campaign
        self._visitor, self._last, self._day = visitor, event_time, day
        return self._session_id

    def _ends_before(self, visitor: str, event_time: int, day: str, campaign: str | None) -> bool:
        if visitor != self._visitor or not self._session_id:
            return True
        if event_time - self._last > self._gap_us or event_time - self._begun > self._span_us:
            return True
        if self._rules.at_midnight and day != self._day:
            return True
        return self._rules.on_campaign and campaign not in {None, self._campaign}

    def _begin(self, session_id: str, event_time: int) -> None:
        if session_id != self._session_id:
            self._session_id = session_id
            self._begun = event_time
            self._campaign = None
