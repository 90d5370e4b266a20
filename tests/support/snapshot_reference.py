"""User snapshots by the definitions' words, one visitor and one cut at a time: slow and plain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from micromoment.events.shop import Shop
from tests.support.happenings import Happening

Row = dict[str, int]

_UNDOING = ("refund", "cancel")
_REPEAT = timedelta(minutes=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def reference_rows(happenings: Sequence[Happening], cut_day: date, shop: Shop) -> dict[str, Row]:
    """Give every visitor's row at the start of `cut_day`."""
    known = [
        one
        for one in happenings
        if _day(one, shop) < cut_day and not one.is_bot and one.consent_analytics != "denied"
    ]
    visitors = {one.visitor for one in known if one.type not in _UNDOING and one.visitor}
    return {visitor: _row(known, visitor, cut_day, shop) for visitor in visitors}


def _row(known: list[Happening], visitor: str, cut_day: date, shop: Shop) -> Row:
    own = [one for one in known if one.visitor == visitor and one.type not in _UNDOING]
    times = [one.at for one in own]
    begun = {
        session: min(_day(one, shop) for one in own if one.session_id == session)
        for session in {one.session_id for one in own if one.session_id}
    }
    orders = [
        (time, value)
        for order in _orders(own)
        if (value := _left(order, known, shop)) is not None
        for time in [order.at]
    ]
    recent = [
        value for time, value in orders if time.astimezone(shop.zone).date() >= _back(cut_day, 365)
    ]
    active = {_day(one, shop) for one in own}
    midnight = datetime(cut_day.year, cut_day.month, cut_day.day, tzinfo=shop.zone)
    return {
        "snapshot_time": micros(midnight),
        "first_seen": micros(min(times)),
        "last_seen": micros(max(times)),
        "last_order": max((micros(time) for time, _ in orders), default=0),
        "sessions": len(begun),
        "sessions_30d": sum(day >= _back(cut_day, 30) for day in begun.values()),
        "orders_365d": len(recent),
        "order_value_365d": sum(recent),
        "active_days_28d": sum(day >= _back(cut_day, 28) for day in active),
        "active_days_29_56d": sum(_back(cut_day, 56) <= day < _back(cut_day, 28) for day in active),
    }


def _orders(own: list[Happening]) -> list[Happening]:
    """Give the first purchase of each order; of equal times the greatest value."""
    bought = sorted(
        (one for one in own if one.type == "purchase"),
        key=lambda one: (one.at, -_known_value(one)),
    )
    first: dict[str, Happening] = {}
    nameless: list[Happening] = []
    last_nameless: datetime | None = None
    for one in bought:
        if one.order_id:
            first.setdefault(one.order_id, one)
            continue
        if last_nameless is None or one.at - last_nameless > _REPEAT:
            nameless.append(one)
        last_nameless = one.at
    return [*first.values(), *nameless]


def _left(order: Happening, known: list[Happening], shop: Shop) -> int | None:
    """Give what an order is still worth in micros, 0 where unknown; None when it was undone."""
    undone = [one for one in known if one.type in _UNDOING and one.order_id == order.order_id]
    if not undone or not order.order_id:
        return _value(order, shop) or 0
    if any(one.type == "cancel" for one in undone):
        return None
    back = [_value(one, shop) for one in undone]
    worth = _value(order, shop)
    if worth is None or None in back or sum(filter(None, back)) >= worth:
        return None
    return worth - sum(filter(None, back))


def _value(one: Happening, shop: Shop) -> int | None:
    return one.value_micros if shop.accepts(one.currency or "") else None


def _known_value(one: Happening) -> int:
    return -1 if one.value_micros is None else one.value_micros


def _day(one: Happening, shop: Shop) -> date:
    return one.at.astimezone(shop.zone).date()


def _back(day: date, days: int) -> date:
    return day - timedelta(days=days)


def micros(moment: datetime) -> int:
    """Give a moment in microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
