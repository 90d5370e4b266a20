"""Rules for single protobuf fields, and the walk that applies them to a message.

A rule looks at the value of a field that is set and gives what is wrong with it, or None. What it
says never contains the value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.errors import FieldViolation
from micromoment.events.limits import FIRST_SECOND, LAST_SECOND, MAX_NANOS, MAX_TEXT_BYTES
from micromoment.events.shop import is_currency

Rule = Callable[[Any], str | None]

MAX_VIOLATIONS: Final = 20
_TEXT_PROBLEM: Final = f"longer than {MAX_TEXT_BYTES} bytes"


class MessageRules:
    """The rules of one message type: one for each of its fields.

    `required` names fields that must be set and not empty; `inside` holds the rules of the messages
    that a field carries. A field without a rule of its own takes any value.
    """

    def __init__(
        self,
        message_type: type[Message],
        rules: Mapping[str, Rule],
        *,
        required: Collection[str] = (),
        inside: Mapping[str, MessageRules] | None = None,
    ) -> None:
        self.message_type = message_type
        self.field_names = frozenset(rules)
        self.required = frozenset(required)
        self.inside = dict(inside or {})
        fields = message_type.DESCRIPTOR.fields_by_name
        self._required = {fields[name].number: name for name in required}
        self._rules = {fields[name].number: (name, rule) for name, rule in rules.items()}
        self._inside = {fields[name].number: own for name, own in self.inside.items()}

    def collect(self, message: Message, path: str, found: list[FieldViolation]) -> None:
        """Append each violation in `message`, up to `MAX_VIOLATIONS`; `path` ends in a dot."""
        set_fields = message.ListFields()
        if self._required:
            absent = self._required.keys() - {field.number for field, _ in set_fields}
            for number in sorted(absent):
                _add(found, path + self._required[number], "required")
        for field, value in set_fields:
            number = field.number
            name, rule = self._rules[number]
            problem = rule(value)
            if problem is not None:
                _add(found, path + name, problem)
            elif number in self._inside:
                self._descend(value, number, path + name, found)

    def _descend(
        self,
        value: Message | Sequence[Message],
        number: int,
        path: str,
        found: list[FieldViolation],
    ) -> None:
        rules = self._inside[number]
        if isinstance(value, Message):
            rules.collect(value, f"{path}.", found)
            return
        for index, element in enumerate(value):
            rules.collect(element, f"{path}[{index}].", found)
            if len(found) >= MAX_VIOLATIONS:
                return


def _add(found: list[FieldViolation], field: str, description: str) -> None:
    if len(found) < MAX_VIOLATIONS:
        found.append(FieldViolation(field, description))


def anything(value: object) -> str | None:  # noqa: ARG001 - the signature of a rule
    """Take any value."""
    return None


def text(value: str) -> str | None:
    """Take at most 256 bytes of UTF-8; control characters are text like any other."""
    return _TEXT_PROBLEM if text_is_too_long(value) else None


def texts(limit: int) -> Rule:
    """Take at most `limit` strings of at most 256 bytes each."""

    def check(values: Sequence[str]) -> str | None:
        if len(values) > limit:
            return f"more than {limit} entries"
        if any(map(text_is_too_long, values)):
            return f"an entry is {_TEXT_PROBLEM}"
        return None

    return check


def text_map(limit: int) -> Rule:
    """Take at most `limit` entries with keys and values of at most 256 bytes each."""

    def check(entries: Mapping[str, str]) -> str | None:
        if len(entries) > limit:
            return f"more than {limit} entries"
        for key, value in entries.items():
            if text_is_too_long(key):
                return f"a key is {_TEXT_PROBLEM}"
            if text_is_too_long(value):
                return f"a value is {_TEXT_PROBLEM}"
        return None

    return check


def number(low: float, high: float) -> Rule:
    """Take a finite number from `low` to `high`, both included."""
    problem = f"not between {low:,} and {high:,}"

    def check(value: float) -> str | None:
        return None if low <= value <= high else problem

    return check


def at_least(low: int) -> Rule:
    """Take an integer from `low` on."""
    problem = "negative" if low == 0 else f"less than {low:,}"

    def check(value: int) -> str | None:
        return None if value >= low else problem

    return check


def word_of(enum: EnumDescriptor) -> Rule:
    """Take the numbers that the enum defines."""
    known = frozenset(enum.values_by_number)

    def check(value: int) -> str | None:
        return None if value in known else f"not a value of {enum.name}"

    return check


def moment(value: Timestamp) -> str | None:
    """Take a valid time from 2000-01-01 to 2100-01-01, both included."""
    nanos = value.nanos
    if not 0 <= nanos <= MAX_NANOS:
        return "nanos not between 0 and 999,999,999"
    seconds = value.seconds
    if FIRST_SECOND <= seconds < LAST_SECOND or (seconds == LAST_SECOND and nanos == 0):
        return None
    return "not between 2000-01-01 and 2100-01-01"


def currency(value: str) -> str | None:
    """Take three capital letters."""
    return None if is_currency(value) else "not an ISO 4217 code of 3 capital letters"


def count(limit: int) -> Rule:
    """Take a list of at most `limit` entries; an empty list never reaches its rule."""

    def check(values: Sequence[object]) -> str | None:
        return None if len(values) <= limit else f"more than {limit} entries"

    return check


def text_is_too_long(value: str) -> bool:
    """Tell whether a text has more than 256 bytes of UTF-8."""
    # A character takes 1 to 4 bytes: most strings need no encoding to be judged.
    length = len(value)
    if length <= MAX_TEXT_BYTES // 4:
        return False
    return length > MAX_TEXT_BYTES or len(value.encode()) > MAX_TEXT_BYTES
