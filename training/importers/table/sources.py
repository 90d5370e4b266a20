"""Where one canonical column comes from: the models of a mapping's single entries."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Literal, Self, TypeVar

import duckdb
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from micromoment.events.vocabulary import (
    ConsentState,
    DeviceType,
    EventType,
    PageType,
    ReferrerMedium,
    names,
)


class Strict(BaseModel):
    """A part of a mapping: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Source(Strict):
    """A column of the file, or one constant for all rows."""

    column: str | None = None
    constant: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.column is None) == (self.constant is None):
            raise ValueError("give either column or constant")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that are read."""
        return () if self.column is None else (self.column,)


class Text(Source):
    """Text; `type: integer` writes 13085.0 as 13085, `case` makes spellings equal."""

    type: Literal["text", "integer"] = "text"
    case: Literal["upper", "lower"] | None = None


class Word(Source):
    """A word of a vocabulary: `values` maps the file's words, in any case, to canonical ones."""

    values: dict[str, str] = Field(default_factory=dict)


class EventTypeWord(Word):
    """What happened; `unlisted` says what becomes of words that mean nothing here."""

    unlisted: Literal["other", "drop"] = "other"


class Time(Source):
    """A time: ISO 8601, a strptime `format`, or a number of `unit`s since 1970."""

    format: str | None = None
    unit: Literal["s", "ms", "us"] | None = None

    @model_validator(mode="after")
    def _format_or_unit(self) -> Self:
        if self.format is not None and self.unit is not None:
            raise ValueError("give either format or unit")
        return self

    @field_validator("format")
    @classmethod
    def _usable(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                duckdb.execute("SELECT try_strptime('', ?)", [pattern]).fetchall()
            except duckdb.Error as error:
                raise ValueError(f"{pattern!r} is no format of times: {error}") from error
        return pattern


class Number(Source):
    """A number; `decimal` is the sign before its fraction."""

    decimal: Literal[".", ","] = "."


class Money(Number):
    """An amount in whole units of the currency, in cents (hundredths) or in micros (millionths)."""

    unit: Literal["decimal", "cents", "micros"] = "decimal"


class Duration(Number):
    """A time span in seconds or milliseconds."""

    unit: Literal["s", "ms"] = "ms"


class Flag(Source):
    """True or false, in the usual words (true, yes, y, t, 1 and their opposites)."""


class Category(Strict):
    """A category path: columns from broadest to narrowest, or one column cut at a separator."""

    column: str | None = None
    levels: tuple[str, ...] = ()
    separator: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.column is None) == (not self.levels):
            raise ValueError("give either column (and perhaps separator) or levels")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that are read."""
        return self.levels if self.column is None else (self.column,)


_W = TypeVar("_W", bound=Word)


def _as_source(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


def _of(vocabulary: type[IntEnum]) -> Callable[[_W], _W]:
    known = sorted(
        word for word, number in names(vocabulary).items() if number or word != "unspecified"
    )

    def check(source: _W) -> _W:
        used = list(source.values.values())
        if source.constant is not None:
            used.append(source.constant)
        for word in used:
            if word not in known:
                close = difflib.get_close_matches(word, known, 3) or known
                raise ValueError(f"{word!r} is none of its words; the closest: {', '.join(close)}")
        return source

    return check


def check_regex(expression: str) -> str:
    """Give an RE2 expression back. Raises `ValueError` when it is none."""
    try:
        duckdb.execute("SELECT regexp_matches('', ?)", [expression]).fetchall()
    except duckdb.Error as error:
        raise ValueError(f"{expression!r} is no regular expression: {error}") from error
    return expression


Regex = Annotated[str, AfterValidator(check_regex)]
TextSource = Annotated[Text, BeforeValidator(_as_source)]
TimeSource = Annotated[Time, BeforeValidator(_as_source)]
NumberSource = Annotated[Number, BeforeValidator(_as_source)]
MoneySource = Annotated[Money, BeforeValidator(_as_source)]
DurationSource = Annotated[Duration, BeforeValidator(_as_source)]
FlagSource = Annotated[Flag, BeforeValidator(_as_source)]
EventTypeSource = Annotated[
    EventTypeWord, BeforeValidator(_as_source), AfterValidator(_of(EventType))
]
PageTypeSource = Annotated[Word, BeforeValidator(_as_source), AfterValidator(_of(PageType))]
DeviceSource = Annotated[Word, BeforeValidator(_as_source), AfterValidator(_of(DeviceType))]
MediumSource = Annotated[Word, BeforeValidator(_as_source), AfterValidator(_of(ReferrerMedium))]
ConsentSource = Annotated[Word, BeforeValidator(_as_source), AfterValidator(_of(ConsentState))]
CategorySource = Annotated[Category, BeforeValidator(_as_source)]
