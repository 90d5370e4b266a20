"""HTTP/2 as far as gRPC calls on one connection need it: frames written and read as bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4

FIRST_WINDOW: Final = 65_535
_GREATEST_WINDOW: Final = 2**31 - 1
_HEADER_TABLE_SIZE: Final = 0x1
_INITIAL_WINDOW_SIZE: Final = 0x4
_HEADER_BYTES: Final = 9
_PLAIN_LITERAL: Final = 0x00  # a literal header that stays out of the dynamic table


class Frame(NamedTuple):
    """One frame: its type, flags, stream and payload."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write a frame."""
    head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream)
    return head + payload


def frames_of(received: bytearray) -> Iterator[Frame]:
    """Take whole frames off the front of what was received; the rest stays."""
    place, end = 0, len(received)
    while end - place >= _HEADER_BYTES:
        size = int.from_bytes(received[place : place + 3], "big")
        after = place + _HEADER_BYTES + size
        if after > end:
            break
        kind, flags = received[place + 3], received[place + 4]
        stream = int.from_bytes(received[place + 5 : place + 9], "big") & 0x7FFFFFFF
        yield Frame(kind, flags, stream, bytes(received[place + _HEADER_BYTES : after]))
        place = after
    del received[:place]


def opening() -> bytes:
    """Write what a client says first: no header compression by the peer, windows wide open."""
    settings = struct.pack(">HIHI", _HEADER_TABLE_SIZE, 0, _INITIAL_WINDOW_SIZE, _GREATEST_WINDOW)
    more = struct.pack(">I", _GREATEST_WINDOW - FIRST_WINDOW)
    return PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, more)


def initial_window(settings: bytes, before: int) -> int:
    """Give the initial window that a settings frame states, `before` where it states none."""
    stated = dict(struct.iter_unpack(">HI", settings))
    return int(stated.get(_INITIAL_WINDOW_SIZE, before))


def header_block(
    path: str,
    authority: str,
    timeout_ms: int = 0,
    more: Sequence[tuple[str, str]] = (),
    *,
    scheme: str = "http",
) -> bytes:
    """Write the headers of a gRPC call, each as a plain literal, so that one block fits all.

    With `timeout_ms` the call has a deadline; `more` are further headers.
    """
    headers = [
        (":method", "POST"),
        (":scheme", scheme),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if timeout_ms:
        headers.append(("grpc-timeout", f"{timeout_ms}m"))
    headers.extend(more)
    return b"".join(bytes([_PLAIN_LITERAL]) + _text(name) + _text(value) for name, value in headers)


def prefixed(message: bytes) -> bytes:
    """Put gRPC's five bytes before a message: not compressed, and its length."""
    return struct.pack(">BI", 0, len(message)) + message


def message_of(body: bytes) -> bytes:
    """Take the one message out of a body. Raises `ValueError` where there isn't exactly one."""
    if len(body) < 5:
        raise ValueError("the reply holds no message: the call failed")
    compressed, size = struct.unpack(">BI", body[:5])
    if compressed or len(body) != size + 5:
        raise ValueError("the reply isn't one plain message")
    return body[5:]


def _text(value: str) -> bytes:
    plain = value.encode("ascii")
    if len(plain) < 127:
        return bytes([len(plain)]) + plain
    raise ValueError(f"the header is too long: {value}")


def status_of(trailers: bytes) -> int:
    """Read gRPC's status out of a block of trailers that the peer did not compress."""
    name = b"grpc-status"
    place = trailers.index(name) + len(name)
    return int(trailers[place + 1 : place + 1 + trailers[place]])
