"""Hostile requests, the same for the same seed: made from the contract, or broken as bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.transport.server import MAX_REQUEST_BYTES
from tests.support.contract_limits import (
    TEXT_256,
    TEXT_257,
    inside,
    is_own_message,
    limits_of,
    methods,
    number_sessions_anew,
    plain,
    plain_value,
    put,
)

# An activation that is not refused at once takes a process of its own, and seconds.
_RARE: Final = {"ActivateBundle": 0.05}
_INTEGERS: Final = (0, 1, -1, 127, 128, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, -(2**63))
_DOUBLES: Final = (0.0, -0.0, 5e-324, 1.7e308, float("nan"), float("inf"), float("-inf"), -1.0)
_TEXTS: Final = (
    "", "\x00", "\x1f", "a\x00b", "\u202e", "\ufeff", "\U0010ffff", "e\u0301" * 40, "ß" * 128,
    TEXT_256, TEXT_257, "{}:%25", "../../etc/passwd", "'; DROP TABLE visits;--", "NaN", "\r\n",
)  # fmt: skip
_SECONDS: Final = (
    0, -1, 946_684_799, 946_684_800, 1_700_000_000, 4_102_444_799, 4_102_444_800, 4_102_444_801,
    2**63 - 1, -(2**63), 253_402_300_800,
)  # fmt: skip
_NANOS: Final = (0, 1, 999, 999_999_999, 1_000_000_000, -1, 2**31 - 1, -(2**31))
_BYTES: Final = 2
_GROUP: Final = 3


class Fuzz:
    """Makes requests of all methods from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = random.Random(seed)
        self._methods = list(methods())
        self._weights = [_RARE.get(method.name, 1.0) for method in self._methods]
        self._before: list[bytes] = [b"\x00"]

    def request(self) -> tuple[MethodDescriptor, bytes]:
        """Give a method and the bytes of a request: half of them broken."""
        pick = self._random
        method = pick.choices(self._methods, self._weights)[0]
        made = self.message(method.input_type).SerializeToString()
        if pick.random() < 0.5:
            self._before = [*self._before[-200:], made]
            return method, made
        return method, self.broken(made)

    def message(self, descriptor: Descriptor) -> Message:
        """Make a message of the contract with any fields set, most of them to what it allows."""
        pick = self._random
        number_sessions_anew()
        made = plain(descriptor) if pick.random() < 0.9 else GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if pick.random() < (0.7 if is_own_message(field) else 0.3):
                self._fill(made, field)
        return made

    def broken(self, data: bytes) -> bytes:
        """Break bytes in one to four ways."""
        ways: Sequence[Callable[[bytes], bytes]] = (
            self._flip, self._cut, self._remove, self._insert, self._splice, self._repeat,
            self._random_bytes, self._add_field, self._nest, self._oversize,
        )  # fmt: skip
        for _ in range(self._random.randint(1, 4)):
            data = self._random.choice(ways)(data)
        return data

    def _fill(self, message: Message, field: FieldDescriptor) -> None:
        pick = self._random
        if is_own_message(field):
            self._fill_own(message, field)
            return
        limits = limits_of(field)
        assert limits is not None
        if pick.random() < 0.9:
            value = pick.choice([*limits.allowed, plain_value(field)])
            if field.name in {"session_id", "event_id", "request_id"} and pick.random() < 0.8:
                value = f"{field.name}-{pick.randrange(50)}"
        elif limits.refused and pick.random() < 0.5:
            value = pick.choice(limits.refused)
        else:
            value = self._extreme(field)
        put(message, field, value)

    def _fill_own(self, message: Message, field: FieldDescriptor) -> None:
        pick = self._random
        if not field.is_repeated:
            getattr(message, field.name).CopyFrom(self.message(inside(field)))
            return
        # A list that is too long is made of like entries, which cost nothing to draw.
        if pick.random() < 0.02:
            put(message, field, pick.choice([49, 50, 51, 199, 200, 201, 499, 500, 501]))
            return
        entries = getattr(message, field.name)
        del entries[:]
        entries.extend(self.message(inside(field)) for _ in range(pick.choice([0, 1, 1, 2, 3])))
        if entries and pick.random() < 0.2:
            entries.append(entries[0])

    def _extreme(self, field: FieldDescriptor) -> Any:  # noqa: ANN401 - fields of all types
        pick = self._random
        if field.is_repeated:
            count = pick.choice([0, 1, 33, 300])
            if field.message_type is not None:
                return {f"{n}{pick.choice(_TEXTS)}": pick.choice(_TEXTS) for n in range(count)}
            return [pick.choice(_TEXTS) for _ in range(count)]
        if field.message_type is not None:
            return Timestamp(seconds=pick.choice(_SECONDS), nanos=pick.choice(_NANOS))
        if field.type == field.TYPE_STRING:
            return pick.choice(_TEXTS)
        if field.type in {field.TYPE_DOUBLE, field.TYPE_FLOAT}:
            return pick.choice(_DOUBLES)
        if field.type == field.TYPE_BOOL:
            return pick.choice([False, True])
        return _fitting(field, pick.choice(_INTEGERS))

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        flipped = bytearray(data)
        for _ in range(self._random.randint(1, 8)):
            flipped[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(flipped)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._random.randint(0, len(data))]

    def _remove(self, data: bytes) -> bytes:
        start = self._random.randint(0, len(data))
        return data[:start] + data[start + self._random.randint(1, 16) :]

    def _insert(self, data: bytes) -> bytes:
        start = self._random.randint(0, len(data))
        return data[:start] + self._random.randbytes(self._random.randint(1, 16)) + data[start:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._before)
        start = self._random.randint(0, len(other))
        return data[: self._random.randint(0, len(data))] + other[start:]

    def _repeat(self, data: bytes) -> bytes:
        return (data * self._random.randint(2, 5))[: MAX_REQUEST_BYTES // 4]

    def _random_bytes(self, _data: bytes) -> bytes:
        return self._random.randbytes(self._random.choice([0, 1, 2, 16, 256, 4_096]))

    def _add_field(self, data: bytes) -> bytes:
        """Add a field of a wrong or unknown number, of any wire type, groups among them."""
        pick = self._random
        number = pick.choice([1, 2, 3, 4, 5, 99, 19_000, 2**29 - 1])
        wire = pick.randrange(8)
        return (
            data
            + _varint(number << 3 | wire)
            + pick.choice(
                [
                    _varint(2**64 - 1),
                    b"\xff" * 11,  # a varint that is too long
                    b"\x80" * 9 + b"\x02",  # more than 64 bits
                    struct.pack("<d", float("nan")),
                    _varint(2**32 - 1) + b"x",  # a length beyond the end
                    _varint(3) + b"\xff\xfe\x80",  # no UTF-8
                    _varint(3) + b"\xed\xa0\x80",  # a surrogate
                    b"",
                ]
            )
        )

    def _nest(self, data: bytes) -> bytes:
        """Put the bytes into the message of a field, again and again, or open groups."""
        pick = self._random
        depth = pick.choice([2, 20, 99, 101, 500])
        number = pick.choice([1, 2, 4, 5, 9, 10, 19, 21])
        if pick.random() < 0.3:
            return data + _varint(number << 3 | _GROUP) * depth
        data = data[:1_000]
        for _ in range(depth):
            data = _varint(number << 3 | _BYTES) + _varint(len(data)) + data
        return data

    def _oversize(self, data: bytes) -> bytes:
        if self._random.random() < 0.95:
            return self._flip(data)
        return data + bytes(MAX_REQUEST_BYTES)


async def shrunk(data: bytes, fails: Callable[[bytes], Awaitable[bool]]) -> bytes:
    """Take away what can be taken from bytes that still fail, in ever smaller pieces."""
    size = len(data) // 2
    while size:
        start = 0
        while start < len(data):
            less = data[:start] + data[start + size :]
            if await fails(less):
                data = less
            else:
                start += size
        size //= 2
    return data


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _fitting(field: FieldDescriptor, value: int) -> int:
    """Give an integer that the field's type can hold."""
    if field.type in {field.TYPE_FIXED64, field.TYPE_UINT64}:
        return value % 2**64
    if field.type in {field.TYPE_INT64, field.TYPE_SINT64, field.TYPE_SFIXED64}:
        return value
    if field.type in {field.TYPE_UINT32, field.TYPE_FIXED32}:
        return value % 2**32
    return max(-(2**31), min(value, 2**31 - 1))
