"""Values of features in sentences that a shop's employee understands.

Each function here makes a `Wording`: from a value (NaN is missing) and the shop's currency ("" for
any) to a sentence. Templates have one `{}` for the value in words. A sentence says what is so, not
what it causes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, isnan
from typing import Final

Wording = Callable[[float, str], str]

NOT_KNOWN: Final = "Not known"
DAY_S: Final = 86_400.0

_MINUTE_S, _HOUR_S = 60.0, 3_600.0
_MONTH_S, _YEAR_S = 30.4375 * DAY_S, 365.25 * DAY_S
# Above so many of a unit the next one reads better.
_DURATIONS: Final = (
    (90.0, 1.0, " s", " s"),
    (90.0 * _MINUTE_S, _MINUTE_S, " min", " min"),
    (36.0 * _HOUR_S, _HOUR_S, " hour", " hours"),
    (60.0 * DAY_S, DAY_S, " day", " days"),
    (2.0 * _YEAR_S, _MONTH_S, " month", " months"),
    (float("inf"), _YEAR_S, " year", " years"),
)
_ORDINALS: Final = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh")
# Natural logarithms of how many times more often buyers have something than others do.
_SLIGHTLY, _MUCH = 0.2, 1.0
_TEENS: Final = range(11, 14)


def fact(no: str, yes: str, missing: str = NOT_KNOWN) -> Wording:
    """Word a fact, 0 or 1."""
    return _known(lambda value, _: yes if value > 0 else no, missing)


def count(none: str, one: str, many: str, missing: str = NOT_KNOWN) -> Wording:
    """Word a number of things."""

    def say(value: float, _: str) -> str:
        number = round(value)
        return none if number == 0 else one if number == 1 else many.format(f"{number:,}")

    return _known(say, missing)


def ordinal(none: str, first: str, later: str, missing: str = NOT_KNOWN) -> Wording:
    """Word a number of times as the last of them: `{} look` is "Third look"."""

    def say(value: float, _: str) -> str:
        number = round(value)
        return none if number < 1 else first if number == 1 else later.format(_nth(number))

    return _known(say, missing)


def difference(fewer: str, same: str, more: str, missing: str = NOT_KNOWN) -> Wording:
    """Word a number that may be negative."""

    def say(value: float, _: str) -> str:
        number = round(value)
        if number == 0:
            return same
        return (more if number > 0 else fewer).format(f"{abs(number):,}")

    return _known(say, missing)


def share(template: str, missing: str = NOT_KNOWN, none: str = "", every: str = "") -> Wording:
    """Word a ratio as per cent; `none` and `every` are said of 0 and 1 where given."""

    def say(value: float, _: str) -> str:
        if value == 0 and none:
            return none
        if value == 1 and every:
            return every
        return template.format(f"{_decimal(100 * value)}%")

    return _known(say, missing)


def figure(template: str, missing: str = NOT_KNOWN, one: str = "", none: str = "") -> Wording:
    """Word a plain number; `one` and `none` are said of 1 and 0 where given."""

    def say(value: float, _: str) -> str:
        text = _decimal(value)
        return {"1": one, "0": none}.get(text) or template.format(text)

    return _known(say, missing)


def elapsed(
    template: str, missing: str = NOT_KNOWN, none: str = "", unit_s: float = 1.0
) -> Wording:
    """Word a time, given in units of so many seconds; `none` is said below one second."""

    def say(value: float, _: str) -> str:
        seconds = value * unit_s
        return none if none and seconds < 1 else template.format(_duration(seconds))

    return _known(say, missing)


def money(template: str, missing: str = NOT_KNOWN) -> Wording:
    """Word an amount in the shop's currency."""
    return _known(lambda value, unit: template.format(f"{value:,.2f} {unit}".rstrip()), missing)


def code(template: str, words: Mapping[int, str], missing: str = NOT_KNOWN) -> Wording:
    """Word one of a few kinds; a code without a word counts as missing."""

    def say(value: float, _: str) -> str:
        word = words.get(round(value))
        return missing if word is None else template.format(word)

    return _known(say, missing)


def bands(*below: tuple[float, str], above: str, missing: str = NOT_KNOWN) -> Wording:
    """Word a number by the first limit that it lies below."""

    def say(value: float, _: str) -> str:
        return next((text for limit, text in below if value < limit), above)

    return _known(say, missing)


def clock(template: str, missing: str = NOT_KNOWN) -> Wording:
    """Word an hour of the day with its fraction."""

    def say(value: float, _: str) -> str:
        hour, minute = divmod(int(value * 60) % 1_440, 60)
        return template.format(f"{hour}:{minute:02}")

    return _known(say, missing)


def spread(template: str, one: str, most: int, missing: str = NOT_KNOWN) -> Wording:
    """Word an entropy in nats as the number of equally common kinds that has it, up to `most`."""

    def say(value: float, _: str) -> str:
        kinds = min(exp(min(value, 700.0)), most)
        return one if round(kinds, 1) <= 1 else template.format(_decimal(kinds))

    return _known(say, missing)


def learned(template: str, missing: str = NOT_KNOWN) -> Wording:
    """Word a learned weight in log-odds or nats: what buyers have more often than others."""
    return bands(
        (-_MUCH, template.format("very typical of visits without an order")),
        (-_SLIGHTLY, template.format("typical of visits without an order")),
        (_SLIGHTLY, template.format("as usual for buyers as for others")),
        (_MUCH, template.format("typical of buyers")),
        above=template.format("very typical of buyers"),
        missing=missing,
    )


def _known(say: Wording, missing: str) -> Wording:
    return lambda value, currency: missing if isnan(value) else say(value, currency)


def _nth(number: int) -> str:
    if number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    last = 0 if number % 100 in _TEENS else number % 10
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def _decimal(value: float) -> str:
    """Give two digits where that is short, else whole numbers: 0.42, 3.5, 12, 1,240."""
    size = abs(value)
    text = f"{value:.2f}" if size < 1 else f"{value:.1f}" if size < 10 else f"{value:,.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _duration(seconds: float) -> str:
    for limit, unit, one, many in _DURATIONS:
        if seconds < limit:
            number = max(round(seconds / unit), 0)
            return f"{number:,}{one if number == 1 else many}"
    raise ValueError("a time is finite")
