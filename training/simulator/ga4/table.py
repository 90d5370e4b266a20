"""Rows in codes turned into a table of the raw export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.simulator.ga4.items import HeldItems, held_items, items_column
from training.simulator.ga4.pages import page_names
from training.simulator.ga4.params import Param, constant, params_column
from training.simulator.ga4.schema import ECOMMERCE, EXPORT_SCHEMA, PRIVACY, USER_LTV
from training.simulator.ga4.visitors import SOURCES, Visitors
from training.simulator.shopping.catalogue import Catalogue
from training.simulator.shopping.choices import FREE_SHIPPING_FROM
from training.simulator.shopping.codes import N_CATEGORIES, SEARCH_SHELF, Channel, Kind
from training.simulator.shopping.records import Records

CURRENCY: Final = "USD"
_TAX: Final = 0.07
_SHIPPING_FEE: Final = 5.95
_STREAM_ID: Final = 2_100_450_278
_NOT_SET: Final = "(not set)"
_TERMS: Final = ("shirt", "mug", "backpack", "notebook", "gift", "headphones")
# Kinds from here on say something about items.
_FIRST_ECOMMERCE: Final = Kind.SELECT_ITEM


@dataclass(frozen=True)
class RawRows:
    """Rows of one day with what more is known of each; arrays of shape (n,).

    `page` and `referrer` number pages as in `pages`, -1 without a referrer; `stray` rows lack a
    session id; `lifetime_value` is the visitor's revenue up to the row; `order_number` is 0 outside
    purchases.
    """

    rows: Records
    sessions: Records
    page: npt.NDArray[np.int64]
    referrer: npt.NDArray[np.int64]
    stray: npt.NDArray[np.bool_]
    bundle: npt.NDArray[np.int64]
    lifetime_value: npt.NDArray[np.float64]
    order_number: npt.NDArray[np.int64]
    first_touch_us: npt.NDArray[np.int64]


def export_table(raw: RawRows, date: str, catalogue: Catalogue, visitors: Visitors) -> pa.Table:
    """Build the table of one day, rows in the order given; `date` is YYYYMMDD."""
    rows = raw.rows
    n = rows.size
    held = held_items(rows, catalogue)
    revenue = _revenue(held, catalogue)
    bought = rows["kind"] == Kind.PURCHASE
    shopper = pa.array(raw.sessions["shopper"])
    names = pa.array([kind.name.lower() for kind in Kind])
    lifetime = [pa.array(raw.lifetime_value), pa.array([CURRENCY]).take(_zeros(n))]
    columns: dict[str, pa.Array] = {
        "event_date": pa.array([date]).take(_zeros(n)),
        "event_timestamp": pa.array(rows["time_us"]),
        "event_name": names.take(pa.array(rows["kind"])),
        "event_params": params_column(_params(raw, revenue, catalogue), n),
        "event_value_in_usd": pa.array(revenue, mask=~bought),
        "event_bundle_sequence_id": pa.array(raw.bundle),
        "user_pseudo_id": visitors.pseudo_ids.take(shopper),
        "privacy_info": pa.array(
            [{"uses_transient_token": "No"}],  # nosec B105 - a word of the export's, no password
            PRIVACY,
        ).take(_zeros(n)),
        "user_properties": pa.array([[]], EXPORT_SCHEMA.field("user_properties").type).take(
            _zeros(n)
        ),
        "user_first_touch_timestamp": pa.array(raw.first_touch_us),
        "user_ltv": pa.StructArray.from_arrays(lifetime, fields=list(USER_LTV)),
        "device": visitors.devices.take(shopper),
        "geo": visitors.places.take(shopper),
        "traffic_source": visitors.sources.take(shopper),
        "stream_id": pa.array([_STREAM_ID]).take(_zeros(n)),
        "platform": pa.array(["WEB"]).take(_zeros(n)),
        "ecommerce": _ecommerce(raw, held, revenue),
        "items": items_column(rows, held, catalogue),
    }
    return pa.Table.from_arrays(
        [
            columns[field.name] if field.name in columns else pa.nulls(n, field.type)
            for field in EXPORT_SCHEMA
        ],
        schema=EXPORT_SCHEMA,
    )


def _zeros(n: int) -> pa.Array:
    return pa.array(np.zeros(n, dtype=np.int64))


def _revenue(held: HeldItems, catalogue: Catalogue) -> npt.NDArray[np.float64]:
    """Sum up price times quantity of each row's items, in dollars."""
    price = np.append(catalogue.shop.price, 0.0)
    return np.round((price[held.items] * held.quantities).sum(axis=1), 2)


def _params(raw: RawRows, revenue: npt.NDArray[np.float64], catalogue: Catalogue) -> list[Param]:
    rows = raw.rows
    kind = rows["kind"]
    everywhere = np.ones(rows.size, dtype=np.bool_)
    known = ~raw.stray
    bought = kind == Kind.PURCHASE
    locations, titles = page_names(catalogue)
    searched = kind == Kind.VIEW_SEARCH_RESULTS
    engaged = (raw.sessions["end_us"] > raw.sessions["start_us"]).astype(np.int64)
    # As in the real export, a session's start has it as a number.
    starts = kind == Kind.SESSION_START
    paying = np.isin(kind, (Kind.ADD_SHIPPING_INFO, Kind.ADD_PAYMENT_INFO, Kind.PURCHASE))
    return [
        Param("ga_session_id", known, numbers=raw.sessions["start_us"] // 1_000_000),
        Param("ga_session_number", known, numbers=raw.sessions["number"]),
        Param("page_location", everywhere, raw.page, locations),
        Param("page_title", everywhere, raw.page, titles),
        Param("page_referrer", everywhere, raw.referrer, locations),
        Param("session_engaged", ~starts, engaged, pa.array(["0", "1"])),
        Param("session_engaged", starts & (engaged == 1), numbers=engaged),
        Param("engaged_session_event", engaged == 1, numbers=engaged),
        Param("engagement_time_msec", rows["engagement_ms"] >= 0, numbers=rows["engagement_ms"]),
        Param("percent_scrolled", kind == Kind.SCROLL, numbers=np.full(rows.size, 90)),
        Param(
            "search_term",
            searched,
            np.clip(rows["shelf"].astype(np.int64) - SEARCH_SHELF, 0, N_CATEGORIES - 1),
            pa.array(_TERMS),
        ),
        *_source_params(raw),
        constant("currency", paying, CURRENCY),
        Param("value", bought, numbers=revenue),
        Param("tax", bought, numbers=np.round(revenue * _TAX, 2)),
        Param("transaction_id", bought & (rows["order_set"] == 1), *_order_texts(raw)),
        constant("payment_type", bought, "Pay with credit card"),
        constant("shipping_tier", bought, "Ground"),
        Param("debug_mode", kind > Kind.PAGE_VIEW, numbers=np.ones(rows.size)),
    ]


def _source_params(raw: RawRows) -> list[Param]:
    """Name the visit's source at its landing, and the shop itself when a checkout begins."""
    kind = raw.rows["kind"]
    landing = (kind == Kind.PAGE_VIEW) & (raw.rows["step"] == 1)
    landing &= raw.sessions["channel"] != Channel.DIRECT
    checkout = kind == Kind.BEGIN_CHECKOUT
    itself = ("referral", "(referral)", "shop.example.com")
    texts = [(*SOURCES[channel],) for channel in Channel] + [itself]
    place = np.where(checkout, len(Channel), raw.sessions["channel"]).astype(np.int64)
    return [
        Param(key, landing | checkout, place, pa.array([text[column] for text in texts]))
        for column, key in enumerate(("medium", "campaign", "source"))
    ]


def _order_texts(raw: RawRows) -> tuple[npt.NDArray[np.int64], pa.Array]:
    numbers, places = np.unique(raw.order_number, return_inverse=True)
    return places.astype(np.int64), pa.array([str(number) for number in numbers])


def _ecommerce(raw: RawRows, held: HeldItems, revenue: npt.NDArray[np.float64]) -> pa.Array:
    kind = raw.rows["kind"]
    bought = kind == Kind.PURCHASE
    unique = (held.items >= 0).sum(axis=1)
    pieces = held.quantities.sum(axis=1)
    places, numbers = _order_texts(raw)
    identified = bought & (raw.rows["order_set"] == 1)
    orders = pa.concat_arrays([pa.array([_NOT_SET]), numbers])
    fee = np.where(revenue >= FREE_SHIPPING_FROM, 0.0, _SHIPPING_FEE)
    money = {"purchase_revenue": revenue, "shipping_value": fee, "tax_value": revenue * _TAX}
    known: Mapping[str, pa.Array] = {
        "total_item_quantity": pa.array(pieces, mask=pieces == 0),
        "unique_items": pa.array(unique, mask=unique == 0),
        "transaction_id": orders.take(pa.array(np.where(identified, places + 1, 0))),
        **{name: pa.array(np.round(value, 2), mask=~bought) for name, value in money.items()},
        **{
            f"{name}_in_usd": pa.array(np.round(value, 2), mask=~bought)
            for name, value in money.items()
        },
    }
    promoted = (kind == Kind.VIEW_PROMOTION) | (kind == Kind.SELECT_PROMOTION)
    silent = (kind < _FIRST_ECOMMERCE) & ~promoted
    return pa.StructArray.from_arrays(
        [
            known[field.name] if field.name in known else pa.nulls(kind.size, field.type)
            for field in ECOMMERCE
        ],
        fields=list(ECOMMERCE),
        mask=pa.array(silent),
    )
