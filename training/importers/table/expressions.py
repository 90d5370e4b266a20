"""SQL that reads canonical values from the columns of one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

import pyarrow as pa

from micromoment.errors import InvalidDataError
from micromoment.events.vocabulary import EventType, PageType, names
from training.importers.engine import literal
from training.importers.ga4_schema import as_text
from training.importers.table.files import Table
from training.importers.table.mapping import DropRule, TableMapping
from training.importers.table.sources import (
    Category,
    Duration,
    EventTypeWord,
    Money,
    Number,
    Source,
    Text,
    Time,
    Word,
)

_UNIT_US: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_MONEY_PARTS: Final = {"decimal": 1, "cents": 100, "micros": 1_000_000}
_PER_MS: Final = {"ms": 1.0, "s": 0.001}
# A time of day with an offset from UTC behind it.
_HAS_OFFSET: Final = r":\d{2}(\.\d+)?\s*([zZ]|[+-]\d{2}(:?\d{2})?)$"


class Expressions:
    """Expressions for one table under one mapping; each gives null where there is no value.

    Texts stay as the file has them but for outer blanks; numbers are texts in the units of a raw
    row (see visits/rows.py).
    """

    def __init__(self, table: Table, mapping: TableMapping) -> None:
        self._table = table
        self._zone = literal(mapping.time_zone)
        self._missing = ", ".join(literal(text) for text in mapping.missing)

    def raw(self, column: str) -> str:
        """Give the text of a column. Raises `InvalidDataError` for one of lists or structs."""
        kind = self._table.schema.field(column).type
        if pa.types.is_nested(kind):
            raise InvalidDataError(
                str(self._table.path), f"column {column!r} is {kind}, not one value a row"
            )
        return as_text(_quoted(column), kind)

    def known(self, column: str) -> str:
        """Give the text of a column, null where it is blank or stands for no value."""
        text = f"known({self.raw(column)})"
        if not self._missing:
            return text
        return f"CASE WHEN {text} NOT IN ({self._missing}) THEN {text} END"

    def plain(self, source: Source) -> str:
        """Give the text of a source."""
        if source.column is None:
            return literal(source.constant or "")
        return self.known(source.column)

    def text(self, source: Text) -> str:
        """Give the text of a source as its type and case say."""
        text = self.plain(source)
        if source.type == "integer":
            text = rf"regexp_replace({text}, '^([+-]?\d+)[.,]0+$', '\1')"
        return f"{source.case}({text})" if source.case else text

    def optional(self, source: Source | None) -> str:
        """Give the text of a source where there is one."""
        if source is None:
            return "NULL"
        return self.text(source) if isinstance(source, Text) else self.plain(source)

    def number(self, source: Number) -> str:
        """Give a number as text."""
        text = self.plain(source)
        if source.decimal == "." or self._is_number(source):
            return text
        return f"replace(replace({text}, '.', ''), ',', '.')"

    def money(self, source: Money) -> str:
        """Give an amount in whole units of its currency."""
        return self._divided(source, _MONEY_PARTS[source.unit])

    def duration(self, source: Duration) -> str:
        """Give a time span in milliseconds."""
        return self._divided(source, _PER_MS[source.unit])

    def word(self, source: Word) -> str:
        """Give the word that `values` has for a text, else the text."""
        text = self.plain(source)
        return _translated(source, text, text)

    def category(self, source: Category) -> str:
        """Give the levels of a category path."""
        if source.levels:
            levels = f"[{', '.join(self.known(column) for column in source.levels)}]"
        else:
            text = self.known(source.column or "")
            cut = f"string_split({text}, {literal(source.separator or '')})"
            levels = cut if source.separator else f"[{text}]"
        known = f"list_transform({levels}, lambda level: known(level))"
        return f"NULLIF(list_filter({known}, lambda level: level IS NOT NULL), [])"

    def time(self, source: Time) -> str:
        """Give a time in microseconds; one without an offset is the shop's local time."""
        if source.column is None:
            return self._moment(literal(source.constant or ""), source)
        kind = self._table.schema.field(source.column).type
        column = _quoted(source.column)
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return f"epoch_us(CAST({column} AS TIMESTAMPTZ))"
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return f"epoch_us(timezone({self._zone}, CAST({column} AS TIMESTAMP)))"
        return self._moment(self.known(source.column), source)

    def event_type(self, source: EventTypeWord) -> str:
        """Give the canonical type; what is not listed is `other`, or null where it is dropped."""
        other = "'other'" if source.unlisted == "other" else "NULL"
        text = self.plain(source)
        return f"CASE WHEN {text} IS NOT NULL THEN {_canonical(source, text, EventType, other)} END"

    def page_type(self, source: Word) -> str:
        """Give the canonical page type; what is not listed is `other`."""
        text = self.plain(source)
        named = _canonical(source, text, PageType, "'other'")
        return f"CASE WHEN {text} IS NOT NULL THEN {named} END"

    def attributes(self, sources: Mapping[str, Text], more: Mapping[str, str] | None = None) -> str:
        """Give a map of attributes, from sources and from SQL."""
        values = {name: self.text(source) for name, source in sources.items()} | dict(more or {})
        if not values:
            return "NULL::MAP(VARCHAR, VARCHAR)"
        return f"MAP {{{', '.join(f'{literal(name)}: {sql}' for name, sql in values.items())}}}"

    def dropped(self, rules: Sequence[DropRule]) -> str:
        """Give the reason of the first rule that holds."""
        cases = " ".join(f"WHEN {self._holds(rule)} THEN {literal(rule.reason)}" for rule in rules)
        return f"CASE {cases} END" if cases else "NULL"

    def content(self, columns: Sequence[str]) -> str:
        """Give a digest over columns."""
        texts = ", ".join(f"COALESCE({self.raw(column)}, chr(30))" for column in columns)
        return f"md5(concat_ws(chr(31), {texts}))"

    def _is_number(self, source: Source) -> bool:
        if source.column is None:
            return False
        kind = self._table.schema.field(source.column).type
        return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))

    def _divided(self, source: Number, by: float) -> str:
        text = self.number(source)
        if by == 1:
            return text
        # What is no number stays as it is, to be counted as such.
        return f"COALESCE(CAST(as_number({text}) / {by!r} AS VARCHAR), {text})"

    def _moment(self, text: str, source: Time) -> str:
        if source.unit is not None:
            return f"TRY_CAST(round(as_number({text}) * {_UNIT_US[source.unit]}) AS BIGINT)"
        if source.format is None:
            local = f"timezone({self._zone}, TRY_CAST({text} AS TIMESTAMP))"
            return (
                f"epoch_us(CASE WHEN regexp_matches({text}, {literal(_HAS_OFFSET)})"
                f" THEN TRY_CAST({text} AS TIMESTAMPTZ) ELSE {local} END)"
            )
        parsed = f"try_strptime({text}, {literal(source.format)})"
        if "%z" in source.format or "%Z" in source.format:
            return f"epoch_us({parsed})"
        return f"epoch_us(timezone({self._zone}, {parsed}))"

    def _holds(self, rule: DropRule) -> str:
        text = self.known(rule.column)
        number = f"as_number({text})"
        if rule.matches is not None:
            return f"regexp_matches({text}, {literal(rule.matches)})"
        if rule.one_of is not None:
            return f"{text} IN ({', '.join(map(literal, rule.one_of))})"
        if rule.not_one_of is not None:
            return f"COALESCE({text} NOT IN ({', '.join(map(literal, rule.not_one_of))}), true)"
        if rule.at_most is not None:
            return f"{number} <= {rule.at_most!r}"
        if rule.at_least is not None:
            return f"{number} >= {rule.at_least!r}"
        return f"{text} IS NULL"


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _translated(source: Word, text: str, otherwise: str) -> str:
    cases = " ".join(
        f"WHEN {literal(word.strip().lower())} THEN {literal(meaning)}"
        for word, meaning in source.values.items()
    )
    return f"CASE lower({text}) {cases} ELSE {otherwise} END" if cases else otherwise


def _canonical(source: Word, text: str, vocabulary: type[IntEnum], other: str) -> str:
    words = ", ".join(literal(word) for word in sorted(names(vocabulary).keys() - {"unspecified"}))
    own = f"CASE WHEN lower({text}) IN ({words}) THEN lower({text}) ELSE {other} END"
    return _translated(source, text, own)
