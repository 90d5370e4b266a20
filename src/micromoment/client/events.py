"""Builds events in the shop's own words."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.v1 import events_pb2 as pb

Money = Decimal | str | int
_MICROS: Final = 1_000_000
_MAX_MICROS: Final = 2**63 - 1


def event(
    event_type: str,
    *,
    event_id: str = "",
    event_time: datetime | None = None,
    items: Iterable[pb.Item] = (),
    page: str = "",
    page_type: str = "unspecified",
    page_title: str = "",
    value: Money | None = None,
    currency: str = "",
    referrer: str = "unspecified",
    campaign: str = "",
    source: str = "",
    device: str = "unspecified",
    attributes: Mapping[str, str] | None = None,
    **fields: Any,  # noqa: ANN401 - the message knows their types
) -> pb.Event:
    """Build an event of a type such as `page_view`; id and time are made when not given.

    `event_time` needs a time zone. `value` is money in `currency`: a Decimal, a string or an
    integer, never a float. `fields` are further fields of `micromoment.v1.Event` under their own
    names. Raises `ValueError` for an unknown word or an amount that is none, and `TypeError` for a
    float as money.
    """
    message = pb.Event(
        event_id=event_id or uuid.uuid4().hex,
        type=pb.EventType.Value(_word("EVENT_TYPE_", event_type, pb.EventType)),
        event_time=_now() if event_time is None else to_timestamp(event_time),
        items=items,
        currency=currency,
        device=pb.DeviceType.Value(_word("DEVICE_TYPE_", device, pb.DeviceType)),
        attributes=attributes,
        **fields,
    )
    if value is not None:
        message.value_micros = _micros("value", value)
    medium = pb.ReferrerMedium.Value(_word("REFERRER_MEDIUM_", referrer, pb.ReferrerMedium))
    if medium or campaign or source:
        message.referrer.CopyFrom(pb.Referrer(medium=medium, campaign=campaign, source=source))
    kind = pb.PageType.Value(_word("PAGE_TYPE_", page_type, pb.PageType))
    if page or kind or page_title:
        message.page.CopyFrom(pb.Page(page_id=page, type=kind, title=page_title))
    return message


def item(
    item_id: str,
    *,
    category: Sequence[str] = (),
    brand: str = "",
    price: Money | None = None,
    quantity: int | None = None,
    position: int | None = None,
    on_sale: bool | None = None,
) -> pb.Item:
    """Build a product line; `category` is its path, broadest first.

    Raises `ValueError` for a price that is no amount and `TypeError` for a float.
    """
    return pb.Item(
        item_id=item_id,
        category_path=category,
        brand=brand,
        price_micros=None if price is None else _micros("price", price),
        quantity=quantity,
        position=position,
        on_sale=on_sale,
    )


def _word(prefix: str, word: str, enum: Any) -> str:  # noqa: ANN401 - any generated enum
    name = prefix + word.upper()
    if name not in enum.keys():  # noqa: SIM118 - a generated enum is no mapping
        words = ", ".join(key.removeprefix(prefix).lower() for key in enum.keys())  # noqa: SIM118
        raise ValueError(f"{word!r} is none of {words}")
    return name


def to_timestamp(moment: datetime) -> Timestamp:
    """Convert a time with a time zone. Raises `ValueError` for one without."""
    if moment.tzinfo is None:
        raise ValueError("a time needs its time zone, such as datetime.now(UTC) has")
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _now() -> Timestamp:
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return Timestamp(seconds=seconds, nanos=nanos)


def _micros(name: str, amount: Money) -> int:
    if isinstance(amount, float):
        raise TypeError(f"{name} is a float; give a Decimal or a string such as '19.99'")
    try:
        number = Decimal(amount)
    except InvalidOperation:
        number = Decimal("NaN")
    except TypeError:
        raise TypeError(f"{name} is a {type(amount).__name__}, no amount of money") from None
    if not number.is_finite() or number.copy_abs() > _MAX_MICROS // _MICROS:
        raise ValueError(f"{name} is {amount!r}, no amount of money such as '19.99'")
    return round(number * _MICROS)
