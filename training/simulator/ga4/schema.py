"""The schema of a GA4 daily export in Parquet, field by field as Google's sample shop has it."""

from __future__ import annotations

from typing import Final

import pyarrow as pa


def _struct(string: str = "", int64: str = "", double: str = "") -> list[pa.Field]:
    """Make fields of three types from names separated by blanks."""
    types = ((string, pa.string()), (int64, pa.int64()), (double, pa.float64()))
    return [pa.field(name, dtype) for names, dtype in types for name in names.split()]


def _ordered(fields: list[pa.Field], order: str) -> pa.StructType:
    by_name = {field.name: field for field in fields}
    return pa.struct([by_name[name] for name in order.split()])


def _list_of(element: pa.DataType) -> pa.ListType:
    return pa.list_(pa.field("element", element, nullable=False))


PARAM_VALUE: Final = pa.struct(
    [
        pa.field("string_value", pa.string()),
        pa.field("int_value", pa.int64()),
        pa.field("float_value", pa.float64()),
        pa.field("double_value", pa.float64()),
    ]
)
PARAM: Final = pa.struct([pa.field("key", pa.string()), pa.field("value", PARAM_VALUE)])
_PROPERTY: Final = pa.struct(
    [
        pa.field("key", pa.int64()),
        pa.field(
            "value",
            pa.struct(
                _struct(
                    int64="string_value int_value float_value double_value set_timestamp_micros"
                )
            ),
        ),
    ]
)
DEVICE: Final = pa.struct(
    [
        *_struct("category mobile_brand_name mobile_model_name mobile_marketing_name"),
        pa.field("mobile_os_hardware_model", pa.int64()),
        *_struct("operating_system operating_system_version"),
        *_struct(int64="vendor_id advertising_id"),
        *_struct("language is_limited_ad_tracking"),
        pa.field("time_zone_offset_seconds", pa.int64()),
        pa.field("web_info", pa.struct(_struct("browser browser_version"))),
    ]
)
GEO: Final = pa.struct(_struct("continent sub_continent country region city metro"))
TRAFFIC_SOURCE: Final = pa.struct(_struct("medium name source"))
_APP_INFO: Final = pa.struct(_struct("id version install_store firebase_app_id install_source"))
PRIVACY: Final = pa.struct(
    [*_struct(int64="analytics_storage ads_storage"), *_struct("uses_transient_token")]
)
USER_LTV: Final = pa.struct([*_struct(double="revenue"), *_struct("currency")])
ECOMMERCE: Final = _ordered(
    _struct(
        "transaction_id",
        "total_item_quantity unique_items",
        "purchase_revenue_in_usd purchase_revenue refund_value_in_usd refund_value"
        " shipping_value_in_usd shipping_value tax_value_in_usd tax_value",
    ),
    "total_item_quantity purchase_revenue_in_usd purchase_revenue refund_value_in_usd refund_value"
    " shipping_value_in_usd shipping_value tax_value_in_usd tax_value unique_items transaction_id",
)
ITEM: Final = _ordered(
    _struct(
        "item_id item_name item_brand item_variant item_category item_category2 item_category3"
        " item_category4 item_category5 coupon affiliation location_id item_list_id item_list_name"
        " item_list_index promotion_id promotion_name creative_name creative_slot",
        "quantity",
        "price_in_usd price item_revenue_in_usd item_revenue item_refund_in_usd item_refund",
    ),
    "item_id item_name item_brand item_variant item_category item_category2 item_category3"
    " item_category4 item_category5 price_in_usd price quantity item_revenue_in_usd item_revenue"
    " item_refund_in_usd item_refund coupon affiliation location_id item_list_id item_list_name"
    " item_list_index promotion_id promotion_name creative_name creative_slot",
)

EXPORT_SCHEMA: Final = pa.schema(
    [
        pa.field("event_date", pa.string()),
        pa.field("event_timestamp", pa.int64()),
        pa.field("event_name", pa.string()),
        pa.field("event_params", _list_of(PARAM), nullable=False),
        pa.field("event_previous_timestamp", pa.int64()),
        pa.field("event_value_in_usd", pa.float64()),
        pa.field("event_bundle_sequence_id", pa.int64()),
        pa.field("event_server_timestamp_offset", pa.int64()),
        pa.field("user_id", pa.string()),
        pa.field("user_pseudo_id", pa.string()),
        pa.field("privacy_info", PRIVACY),
        pa.field("user_properties", _list_of(_PROPERTY), nullable=False),
        pa.field("user_first_touch_timestamp", pa.int64()),
        pa.field("user_ltv", USER_LTV),
        pa.field("device", DEVICE),
        pa.field("geo", GEO),
        pa.field("app_info", _APP_INFO),
        pa.field("traffic_source", TRAFFIC_SOURCE),
        pa.field("stream_id", pa.int64()),
        pa.field("platform", pa.string()),
        pa.field("event_dimensions", pa.struct(_struct("hostname"))),
        pa.field("ecommerce", ECOMMERCE),
        pa.field("items", _list_of(ITEM), nullable=False),
    ]
)
