"""User snapshots by the definitions' words, one visitor and one cut at a time: slow and plain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from micromoment.events.shop import Shop
from tests.support.happenings import Happening

Row = dict[str, int]

_UNDOING = ("refund", "cancel")
_CHECKOUT = ("checkout_start", "checkout_step", "payment_info")
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
    active = {_day(one, shop) for one in own}
    recent = [one for one in own if _day(one, shop) >= _back(cut_day, 28)]
    midnight = datetime(cut_day.year, cut_day.month, cut_day.day, tzinfo=shop.zone)
    return {
        "snapshot_time": micros(midnight),
        "first_seen": micros(min(times)),
        "last_seen": micros(max(times)),
        "sessions": len(begun),
        "sessions_30d": sum(day >= _back(cut_day, 30) for day in begun.values()),
        "active_days_28d": sum(day >= _back(cut_day, 28) for day in active),
        "active_days_29_56d": sum(_back(cut_day, 56) <= day < _back(cut_day, 28) for day in active),
        "active_days_7d": sum(day >= _back(cut_day, 7) for day in active),
        "active_days": len(active),
        "events_28d": len(recent),
        "page_views_28d": sum(one.type == "page_view" for one in recent),
        "item_views_28d": sum(one.type == "item_view" for one in recent),
        "cart_adds_28d": sum(one.type == "cart_add" for one in recent),
        "checkouts_28d": sum(one.type in _CHECKOUT for one in recent),
        "engagement_ms_28d": sum(max(one.engagement_ms or 0, 0) for one in recent),
        "last_cart_add": max((micros(one.at) for one in own if one.type == "cart_add"), default=0),
        "events_last_day": sum(_day(one, shop) == max(active) for one in own),
        **_order_columns(known, own, cut_day, shop),
    }


def _order_columns(known: list[Happening], own: list[Happening], cut_day: date, shop: Shop) -> Row:
    orders = _orders(own, shop)
    left = [(order, _left(order, known, shop)) for order in orders]
    standing = [(order, value) for order, value in left if value is not None]
    of_year = [
        (order, value) for order, value in standing if _day(order, shop) >= _back(cut_day, 365)
    ]
    times = [micros(order.at) for order, _ in standing]
    first_of_day: dict[date, int] = {}
    for order, _ in standing:
        day = _day(order, shop)
        first_of_day[day] = min(first_of_day.get(day, 1 << 62), micros(order.at))
    gaps = sorted(later - earlier for earlier, later in pairwise(sorted(first_of_day.values())))
    middle = (gaps[(len(gaps) - 1) // 2] + gaps[len(gaps) // 2]) // 2 if len(gaps) >= 2 else 0
    return {
        "first_order": min(times, default=0),
        "last_order": max(times, default=0),
        "orders": len(standing),
        "order_days": len(first_of_day),
        "order_value": sum(value for _, value in standing),
        "order_gap_us": middle,
        "orders_365d": len(of_year),
        "order_value_365d": sum(value for _, value in of_year),
        "discount_orders_365d": sum(_discounted(order, known) for order, _ in of_year),
        "orders_undone": sum(bool(_reversals(order, known)) for order in orders),
        "orders_undone_whole": len(orders) - len(standing),
    }


def _discounted(order: Happening, known: list[Happening]) -> bool:
    """Tell whether its product was on sale or a coupon was applied in its session before it."""
    return bool(order.on_sale) or any(
        one.type == "coupon_apply"
        and one.visitor is not None
        and order.session_id != ""
        and one.session_id == order.session_id
        and one.at <= order.at
        for one in known
    )


def _orders(own: list[Happening], shop: Shop) -> list[Happening]:
    """Give the first purchase of each order; of equal times the greatest value, then on sale."""
    bought = sorted(
        (one for one in own if one.type == "purchase"),
        key=lambda one: (one.at, -_known_value(one, shop), not one.on_sale, one.session_id),
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
    undone = _reversals(order, known)
    if not undone:
        return _value(order, shop) or 0
    if any(one.type == "cancel" for one in undone):
        return None
    back = [_value(one, shop) for one in undone]
    worth = _value(order, shop)
    if worth is None or None in back or sum(filter(None, back)) >= worth:
        return None
    return worth - sum(filter(None, back))


def _reversals(order: Happening, known: list[Happening]) -> list[Happening]:
    """Give the refunds and cancellations of an order."""
    if not order.order_id:
        return []
    return [one for one in known if one.type in _UNDOING and one.order_id == order.order_id]


def _value(one: Happening, shop: Shop) -> int | None:
    return one.value_micros if shop.accepts(one.currency or "") else None


def _known_value(one: Happening, shop: Shop) -> int:
    value = _value(one, shop)
    return -1 if value is None else value


def _day(one: Happening, shop: Shop) -> date:
    return one.at.astimezone(shop.zone).date()


def _back(day: date, days: int) -> date:
    return day - timedelta(days=days)


def micros(moment: datetime) -> int:
    """Give a moment in microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
