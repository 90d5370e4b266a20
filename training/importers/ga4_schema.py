"""How the columns of one GA4 export file are read: exports differ in fields and in their types.

Every value is read as text, which the importer then parses the same way whatever the file's type
was; a column or a field that a file lacks is read as null.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from micromoment.errors import InvalidDataError

REQUIRED: Final = ("event_timestamp", "event_name", "user_pseudo_id", "event_params")

# Column of the importer: place in the export.
_TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "event_date": ("event_date",),
    "event_name": ("event_name",),
    "user_pseudo_id": ("user_pseudo_id",),
    "user_id": ("user_id",),
    "device_category": ("device", "category"),
    "language": ("device", "language"),
    "time_zone_offset_seconds": ("device", "time_zone_offset_seconds"),
    "analytics_storage": ("privacy_info", "analytics_storage"),
    "ads_storage": ("privacy_info", "ads_storage"),
    "uses_transient_token": ("privacy_info", "uses_transient_token"),
    "collected_medium": ("collected_traffic_source", "manual_medium"),
    "collected_campaign": ("collected_traffic_source", "manual_campaign_name"),
    "collected_source": ("collected_traffic_source", "manual_source"),
    "collected_gclid": ("collected_traffic_source", "gclid"),
    "first_medium": ("traffic_source", "medium"),
    "first_campaign": ("traffic_source", "name"),
    "first_source": ("traffic_source", "source"),
    "transaction_id": ("ecommerce", "transaction_id"),
    "purchase_revenue": ("ecommerce", "purchase_revenue"),
    "purchase_revenue_in_usd": ("ecommerce", "purchase_revenue_in_usd"),
    "refund_value": ("ecommerce", "refund_value"),
    "refund_value_in_usd": ("ecommerce", "refund_value_in_usd"),
}

_ITEM_TEXTS: Final[dict[str, str]] = {
    "item_id": "item_id",
    "brand": "item_brand",
    "category": "item_category",
    "category2": "item_category2",
    "category3": "item_category3",
    "category4": "item_category4",
    "category5": "item_category5",
    "price": "price",
    "price_in_usd": "price_in_usd",
    "quantity": "quantity",
    "item_list_index": "item_list_index",
}

# What tells apart two events of one kind that one browser sent at one microsecond.
_BUNDLE: Final = (
    "event_bundle_sequence_id",
    "batch_event_index",
    "batch_ordering_id",
    "batch_page_id",
)

# In the order of preference; exports give numbers as any of them.
_PARAM_VALUES: Final = ("string_value", "int_value", "double_value", "float_value")


def column_expressions(schema: pa.Schema, file: str) -> dict[str, str]:
    """Give for each of the importer's columns the SQL that reads it from files of this schema.

    Raises `InvalidDataError` naming the file and the column when a required one is missing or
    `event_params` isn't a list of key and value.
    """
    for name in REQUIRED:
        if schema.get_field_index(name) < 0:
            raise InvalidDataError(file, f"column {name} is missing")
    keys, texts = _params(schema, file)
    expressions = {
        "event_time": _micros(schema.field("event_timestamp").type, file),
        "param_keys": keys,
        "param_texts": texts,
        "raw_items": _items(schema),
        "bundle": _bundle(schema),
    }
    expressions.update({name: _text(schema, place) for name, place in _TEXTS.items()})
    return expressions


def _text(schema: pa.Schema, place: tuple[str, ...]) -> str:
    if schema.get_field_index(place[0]) < 0:
        return _NULL
    found = schema.field(place[0]).type
    for name in place[1:]:
        if not pa.types.is_struct(found) or found.get_field_index(name) < 0:
            return _NULL
        found = found.field(name).type
    return as_text(".".join(f'"{name}"' for name in place), found)


_NULL: Final = "CAST(NULL AS VARCHAR)"


def as_text(expression: str, found: pa.DataType) -> str:
    """Give SQL that reads a value of any single type as text; nested ones are null."""
    if pa.types.is_nested(found):
        return _NULL
    if pa.types.is_binary(found) or pa.types.is_large_binary(found):
        return f"TRY(decode({expression}))"
    if pa.types.is_floating(found):  # 123.0 is the number 123, which other files hold as integer
        return f"regexp_replace(CAST({expression} AS VARCHAR), '\\.0$', '')"
    return f"CAST({expression} AS VARCHAR)"


def _micros(found: pa.DataType, file: str) -> str:
    if pa.types.is_timestamp(found):
        return "epoch_us(event_timestamp)"
    if pa.types.is_nested(found):
        raise InvalidDataError(file, f"column event_timestamp is {found}, not a number")
    return "TRY_CAST(event_timestamp AS BIGINT)"


def _params(schema: pa.Schema, file: str) -> tuple[str, str]:
    found = schema.field("event_params").type
    element = _element(found)
    if element is None or min(element.get_field_index(name) for name in ("key", "value")) < 0:
        raise InvalidDataError(file, f"column event_params is {found}, not a list of key and value")
    value = element.field("value").type
    if pa.types.is_struct(value):
        present = [name for name in _PARAM_VALUES if value.get_field_index(name) >= 0]
        texts = [as_text(f"p.value.{name}", value.field(name).type) for name in present]
    else:
        texts = [as_text("p.value", value)]
    text = f"COALESCE({', '.join(f'''NULLIF({text}, '')''' for text in texts)}, NULL)"
    key = as_text("p.key", element.field("key").type)
    return (
        f"list_transform(event_params, lambda p: {key})",
        f"list_transform(event_params, lambda p: {text})",
    )


def _items(schema: pa.Schema) -> str:
    place = schema.get_field_index("items")
    element = _element(schema.field(place).type) if place >= 0 else None
    if element is None:
        fields = ", ".join(f"{name} VARCHAR" for name in _ITEM_TEXTS)
        return f"CAST(NULL AS STRUCT({fields})[])"
    parts = []
    for name, source in _ITEM_TEXTS.items():
        has = element.get_field_index(source) >= 0
        text = as_text(f"i.{source}", element.field(source).type) if has else _NULL
        parts.append(f"'{name}': {text}")
    return f"list_transform(items, lambda i: {{{', '.join(parts)}}})"


def _element(found: pa.DataType) -> pa.StructType | None:
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return found.value_type if pa.types.is_struct(found.value_type) else None
    return None


def _bundle(schema: pa.Schema) -> str:
    texts = [f"COALESCE({_text(schema, (name,))}, '')" for name in _BUNDLE]
    return " || '/' || ".join(texts)
