"""A mapping: which columns of a table say what, as YAML, and what is wrong with one.

`docs/events.md` explains every key; `examples/mappings` has mappings of public tables.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.events.shop import Shop
from training.importers.table.sources import (
    CategorySource,
    ConsentSource,
    DeviceSource,
    DurationSource,
    EventTypeSource,
    FlagSource,
    MediumSource,
    MoneySource,
    NumberSource,
    PageTypeSource,
    Regex,
    Strict,
    TextSource,
    TimeSource,
)
from training.importers.visits.cuts import SessionRules


class DropRule(Strict):
    """Rows to leave out, counted under `reason`: exactly one test of one column."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)
    column: str
    matches: Regex | None = None
    one_of: tuple[str, ...] | None = None
    not_one_of: tuple[str, ...] | None = None
    at_most: float | None = None
    at_least: float | None = None
    missing: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = (
            self.matches,
            self.one_of,
            self.not_one_of,
            self.at_most,
            self.at_least,
            self.missing,
        )
        if sum(test is not None for test in tests) != 1:
            raise ValueError(
                "give exactly one of matches, one_of, not_one_of, at_most, at_least and missing"
            )
        return self


def _zone(name: str) -> str:
    try:
        return Shop(time_zone=name).time_zone
    except InvalidSettingError as error:
        raise ValueError(str(error).removeprefix("setting time_zone: ")) from None


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"{name!r} is no encoding") from None


class Csv(Strict):
    """How CSV files are written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"


class _Table(Strict):
    """What both shapes have. `missing` lists texts that stand for no value."""

    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    missing: tuple[str, ...] = ()
    csv: Csv = Csv()
    attributes: dict[Annotated[str, Field(min_length=1, max_length=256)], TextSource] = Field(
        default_factory=dict, max_length=31
    )
    drop: tuple[DropRule, ...] = ()


class OrderColumns(Strict):
    """The columns of an order line. `price` is of one piece."""

    order_id: TextSource
    customer_id: TextSource
    time: TimeSource
    item_id: TextSource
    quantity: NumberSource
    price: MoneySource
    currency: TextSource | None = None
    category: CategorySource | None = None
    brand: TextSource | None = None
    on_sale: FlagSource | None = None
    original_order_id: TextSource | None = None


class Refunds(Strict):
    """Which lines take back what was bought before."""

    order_id_matches: Regex | None = None
    negative_quantity: bool = True


class Charges(Strict):
    """Which lines are no products (postage, discounts): they count in an order's value only."""

    item_id_matches: Regex


class OrdersMapping(_Table):
    """A table of order lines: the lines of an order become one purchase or refund."""

    shape: Literal["orders"]
    columns: OrderColumns
    refunds: Refunds = Refunds()
    charges: Charges | None = None
    without_customer: Literal["drop", "keep"] = "drop"
    duplicates: Literal["merge", "keep"] = "merge"


class EventColumns(Strict):
    """The columns of an event. Which are required: type, time and an id of the visitor."""

    type: EventTypeSource
    time: TimeSource
    received_time: TimeSource | None = None
    event_id: TextSource | None = None
    session_id: TextSource | None = None
    anonymous_id: TextSource | None = None
    user_id: TextSource | None = None
    item_id: TextSource | None = None
    category: CategorySource | None = None
    brand: TextSource | None = None
    price: MoneySource | None = None
    quantity: NumberSource | None = None
    position: NumberSource | None = None
    on_sale: FlagSource | None = None
    order_id: TextSource | None = None
    value: MoneySource | None = None
    currency: TextSource | None = None
    page: TextSource | None = None
    page_type: PageTypeSource | None = None
    page_title: TextSource | None = None
    referrer_medium: MediumSource | None = None
    referrer_campaign: TextSource | None = None
    referrer_source: TextSource | None = None
    device: DeviceSource | None = None
    locale: TextSource | None = None
    utc_offset_minutes: NumberSource | None = None
    scroll_percent: NumberSource | None = None
    dwell: DurationSource | None = None
    hover: DurationSource | None = None
    engagement: DurationSource | None = None
    search_term: TextSource | None = None
    consent_analytics: ConsentSource | None = None
    consent_personalization: ConsentSource | None = None
    consent_ads: ConsentSource | None = None
    consent_gpc: FlagSource | None = None
    is_bot: FlagSource | None = None

    @model_validator(mode="after")
    def _visitor(self) -> Self:
        if self.anonymous_id is None and self.user_id is None:
            raise ValueError("one of anonymous_id and user_id is required")
        return self


class Sessions(Strict):
    """How sessions are cut where the table has no session_id."""

    expiry_minutes: int = Field(default=30, ge=1, le=1_440)
    at_midnight: bool = False
    on_campaign: bool = False
    max_hours: int = Field(default=24, ge=1, le=168)

    def rules(self) -> SessionRules:
        """Give the rules as the cutter takes them."""
        return SessionRules(self.expiry_minutes, self.at_midnight, self.on_campaign, self.max_hours)


class EventsMapping(_Table):
    """A table of events: each row becomes one event."""

    shape: Literal["events"]
    columns: EventColumns
    sessions: Sessions = Sessions()


TableMapping = OrdersMapping | EventsMapping
_ADAPTER: TypeAdapter[TableMapping] = TypeAdapter(
    Annotated[OrdersMapping | EventsMapping, Field(discriminator="shape")]
)


def load_mapping(path: Path) -> TableMapping:
    """Read a mapping. Raises `InvalidDataError` naming the file and the place in it."""
    try:
        # nosemgrep: no-loading-of-yaml-objects - below yaml.SafeLoader
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe one  # nosec B506
    except OSError as error:
        raise InvalidDataError(str(path), f"can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidDataError(str(path), f"isn't YAML: {error}") from error
    try:
        return _ADAPTER.validate_python(content)
    except ValidationError as error:
        raise InvalidDataError(str(path), "\n  ".join(_sentences(error))) from None


class _Loader(yaml.SafeLoader):
    """YAML whose keys are the texts that stand there (yes is no boolean), each of them once."""


def _text_keys(loader: _Loader, node: yaml.MappingNode) -> Iterator[dict[str, Any]]:
    content: dict[str, Any] = {}
    yield content
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is no text", key.start_mark)
        if key.value in content:
            problem = f"the key {key.value!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        content[key.value] = loader.construct_object(value, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _text_keys)


def _sentences(error: ValidationError) -> Iterator[str]:
    for found in error.errors(include_url=False):
        place, message = _place(found["loc"][1:]), found["msg"].removeprefix("Value error, ")
        if found["type"].startswith("union_tag"):
            place, message = "shape", "must be orders or events"
        elif not found["loc"]:
            message = "must hold keys and values, shape first"
        elif found["type"] == "extra_forbidden":
            message = "no such key"
        elif found["type"] in {"model_type", "dict_type"}:
            message = (
                "must be a column's name, or keys such as column"
                if (place.startswith(("columns.", "attributes.")))
                else "must hold keys and values"
            )
        yield f"{place}: {message[:1].lower()}{message[1:]}" if place else message


def _place(steps: tuple[int | str, ...]) -> str:
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return "".join(parts).removeprefix(".")
