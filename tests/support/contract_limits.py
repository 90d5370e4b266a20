"""The contract's limits as a table, and requests that reach or break one of them.

Everything here walks the contract's descriptors: a field that a caller can send is in the table by
its name or takes what its type says. A new field of another type fails until the table has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.transport.request_rules import ALL_RULES
from tests.contract.describe import FILES

PACKAGE: Final = "micromoment.v1."
TEXT_256: Final = "é" * 128
TEXT_257: Final = "é" * 128 + "x"
GOOD_TIME: Final = Timestamp(seconds=1_700_000_000)
_INT32: Final = 2**31
_INT64: Final = 2**63
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class Limits:
    """What a field takes at most, the next values, which it doesn't, and what its comment says.

    Of a list of messages the values are numbers of entries. `plain` is an ordinary value.
    """

    allowed: Sequence[Any] = ()
    refused: Sequence[Any] = ()
    said: Sequence[str] = ()
    plain: Any = None


def _entries(most: int) -> Limits:
    return Limits((1, most), (most + 1,), (str(most),), 1)


def _duration() -> Limits:
    return Limits((0, _DAY_MS), (-1, _DAY_MS + 1, _INT64 - 1, -_INT64), ("0 to 86,400,000",), 1_000)


def _micros() -> Limits:
    return Limits((0, _INT64 - 1), (-1, -_INT64), ("millionths", "not negative"), 9_990_000)


def _tag() -> Limits:
    return Limits(
        ("a:" + 254 * "b",),
        ("a:" + 255 * "b", "no form", "a:b\n", "../a:b", TEXT_257),
        ("256 bytes", "name:version"),
        "shop:unknown",
    )


def _ids() -> Limits:
    return Limits(
        (100 * ["b"], [TEXT_256]), (101 * ["b"], [TEXT_257], ["b", ""]), ("100", "256 bytes"), ["b"]
    )


_TEXT: Final = Limits(("a", TEXT_256), (TEXT_257,), ("256 bytes",), "plain")
_FLAG: Final = Limits((False, True), plain=False)
_MOMENT: Final = Limits(
    (
        Timestamp(seconds=946_684_800),
        Timestamp(seconds=4_102_444_800),
        Timestamp(seconds=1_700_000_000, nanos=999_999_999),
    ),
    (
        Timestamp(seconds=946_684_799, nanos=999_999_999),
        Timestamp(seconds=4_102_444_800, nanos=1),
        Timestamp(seconds=1_700_000_000, nanos=1_000_000_000),
        Timestamp(seconds=1_700_000_000, nanos=-1),
        Timestamp(seconds=-_INT64),
        Timestamp(seconds=_INT64 - 1),
    ),
    ("2100-01-01",),
    GOOD_TIME,
)
# Fields whose limits their type does not say, by their full name without the package.
TABLE: Final[dict[str, Limits]] = {
    "Item.category_path": Limits(
        ([TEXT_256] * 5,), ([""] * 6, ["", TEXT_257]), ("at most 5", "256 bytes"), ["a", "b"]
    ),
    "Item.price_micros": _micros(),
    "Item.quantity": Limits(
        (1, 1_000_000), (0, 1_000_001, -1, -_INT32, _INT32 - 1), ("1 to 1,000,000",), 1
    ),
    "Item.position": Limits(
        (1, 100_000), (0, 100_001, -_INT32, _INT32 - 1), ("from 1", "at most 100,000"), 1
    ),
    "Event.sequence": Limits((1, _INT64 - 1), (0, -1, -_INT64), ("from 1",), 1),
    "Event.items": _entries(50),
    "Event.value_micros": _micros(),
    "Event.currency": Limits(
        ("EUR", ""), ("eur", "EURO", "EU", "ÄÖÜ"), ("3 capital letters",), "EUR"
    ),
    "Event.utc_offset_minutes": Limits(
        (-840, 840), (-841, 841, -_INT32, _INT32 - 1), ("-840 to 840",), 60
    ),
    "Event.scroll_percent": Limits(
        (0.0, 100.0, 5e-324),
        (-5e-324, 100.00000000000001, float("nan"), float("inf"), float("-inf")),
        ("0 to 100",),
        50.0,
    ),
    "Event.dwell_ms": _duration(),
    "Event.hover_ms": _duration(),
    "Event.engagement_ms": _duration(),
    # Any 64 bits are a hash.
    "Event.search_terms_hash": Limits((0, 2**64 - 1), plain=1),
    "Event.attributes": Limits(
        ({str(n): "" for n in range(32)}, {TEXT_256: TEXT_256}, {"": ""}),
        ({str(n): "" for n in range(33)}, {TEXT_257: ""}, {"": TEXT_257}),
        ("32 entries", "256 bytes"),
        {"a": "b"},
    ),
    "ScoreRequest.events": _entries(200),
    "IngestRequest.events": _entries(200),
    "BatchScoreRequest.requests": _entries(500),
    "ListBundlesRequest.name": Limits(
        (63 * "a", ""), (64 * "a", "Shop", "a/b", "..", "a\n"), ("at most 63",), "shop"
    ),
    "GetBundleRequest.bundle": _tag(),
    "EraseUserRequest.anonymous_ids": _ids(),
    "ExportUserRequest.anonymous_ids": _ids(),
    "ActivateBundleRequest.bundle": _tag(),
}
# What an ordinary request has beside what is required: somebody, in a visit.
_USUAL: Final = {
    "IngestRequest": ("session_id", "anonymous_id"),
    "EraseUserRequest": ("user_id",),
    "ExportUserRequest": ("user_id",),
}
_numbers = [itertools.count()]
RULES: Final = {rules.message_type.DESCRIPTOR.full_name: rules for rules in ALL_RULES}


def methods() -> Iterator[MethodDescriptor]:
    """Give every method of every service of the contract."""
    for file in FILES:
        for service in file.services_by_name.values():
            yield from service.methods


def request_messages() -> list[Descriptor]:
    """Give every message that a caller can send, those inside of others included."""
    waiting = [method.input_type for method in methods()]
    found: dict[str, Descriptor] = {}
    while waiting:
        message = waiting.pop()
        if message.full_name not in found:
            found[message.full_name] = message
            waiting += [inside(field) for field in message.fields if is_own_message(field)]
    return list(found.values())


def is_own_message(field: FieldDescriptor) -> bool:
    """Tell whether a field holds a message of this contract; maps are judged as a whole."""
    return bool(
        field.message_type
        and field.message_type.full_name.startswith(PACKAGE)
        and not field.message_type.GetOptions().map_entry
    )


def inside(field: FieldDescriptor) -> Descriptor:
    """Give the message that a field holds."""
    assert field.message_type is not None
    return field.message_type


def short_name(field: FieldDescriptor) -> str:
    """Give message and field, without the package."""
    return str(field.full_name).removeprefix(PACKAGE)


def limits_of(field: FieldDescriptor) -> Limits | None:
    """Give a field's limits; None for one that holds a message, which has its own.

    Raises `LookupError` for a field whose limits neither the table nor its type says.
    """
    known = TABLE.get(short_name(field))
    if known is not None:
        return known
    if not field.is_repeated:
        if is_own_message(field):
            return None
        if field.enum_type is not None:
            return _words(field)
        if field.type == field.TYPE_STRING:
            return _TEXT
        if field.type == field.TYPE_BOOL:
            return _FLAG
        if field.message_type is not None and field.message_type.full_name == (
            Timestamp.DESCRIPTOR.full_name
        ):
            return _MOMENT
    raise LookupError(f"{short_name(field)}: say its limits in tests/support/contract_limits.py")


def _words(field: FieldDescriptor) -> Limits:
    assert field.enum_type is not None
    assert field.containing_type is not None
    numbers = sorted(field.enum_type.values_by_number)
    # 0 says that nothing is said, which a required field must not.
    allowed = numbers if field.name not in _required(field.containing_type) else numbers[1:]
    refused = (numbers[-1] + 1, -1, _INT32 - 1, -_INT32)
    return Limits(allowed, refused, plain=numbers[1])


def _required(message: Descriptor) -> frozenset[str]:
    rules = RULES.get(message.full_name)
    return rules.required if rules else frozenset()


def plain(message: Descriptor) -> Message:
    """Make the least message that keeps to the contract."""
    made = GetMessageClass(message)()
    filled = {*_required(message), *_USUAL.get(message.name, ())}
    for field in message.fields:
        if field.name in filled:
            put(made, field, plain_value(field))
    return made


def plain_value(field: FieldDescriptor) -> Any:  # noqa: ANN401 - fields of all types
    """Give an ordinary value of a field, as `put` takes it; each session is another one."""
    if field.name == "session_id":
        return f"session-{next(_numbers[0])}"
    limits = limits_of(field)
    return 1 if limits is None else limits.plain


def number_sessions_anew() -> None:
    """Let what is made next be the same whatever was made before."""
    _numbers[0] = itertools.count()


def put(message: Message, field: FieldDescriptor, value: Any) -> None:  # noqa: ANN401 - as above
    """Set a field; a list of messages to so many plain ones, a message of ours to a plain one."""
    if field.is_repeated and is_own_message(field):
        entries = getattr(message, field.name)
        del entries[:]
        entries.extend(plain(inside(field)) for _ in range(value))
    elif is_own_message(field):
        getattr(message, field.name).CopyFrom(plain(inside(field)))
        getattr(message, field.name).SetInParent()
    elif field.is_repeated and isinstance(value, dict):
        message.ClearField(field.name)
        getattr(message, field.name).update(value)
    elif field.is_repeated:
        message.ClearField(field.name)
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


@dataclass(frozen=True)
class Case:
    """One value of one field of a method's request: taken, or refused under `path`."""

    method: MethodDescriptor
    path: str
    request: Message
    is_allowed: bool
    what: str

    def __str__(self) -> str:
        outcome = "takes" if self.is_allowed else "refuses"
        return f"{self.method.name} {outcome} {self.path} {self.what}"


def cases(method: MethodDescriptor) -> Iterator[Case]:
    """Give, for every field of a request and of what is in it, each limit and what is beyond."""
    for steps, message in _places(method.input_type, ()):
        for field in message.fields:
            path = ".".join((*(_step(step) for step in steps), field.name))
            limits = limits_of(field)
            if limits is not None:
                for is_allowed, values in ((True, limits.allowed), (False, limits.refused)):
                    for number, value in enumerate(values):
                        request = plain(method.input_type)
                        put(_inner(request, steps), field, value)
                        yield Case(method, path, request, is_allowed, f"#{number}")
            if field.name in _required(message):
                request = plain(method.input_type)
                _inner(request, steps).ClearField(field.name)
                yield Case(method, path, request, is_allowed=False, what="absent")


_Steps = tuple[FieldDescriptor, ...]


def _places(message: Descriptor, steps: _Steps) -> Iterator[tuple[_Steps, Descriptor]]:
    yield steps, message
    for field in message.fields:
        if is_own_message(field):
            yield from _places(inside(field), (*steps, field))


def _step(field: FieldDescriptor) -> str:
    return f"{field.name}[0]" if field.is_repeated else str(field.name)


def _inner(message: Message, steps: _Steps) -> Message:
    """Give the message inside another that the steps lead to, which is made where it is absent."""
    for field in steps:
        if field.is_repeated:
            if not getattr(message, field.name):
                put(message, field, 1)
            message = getattr(message, field.name)[0]
        else:
            if not message.HasField(field.name):
                put(message, field, None)
            message = getattr(message, field.name)
    return message
