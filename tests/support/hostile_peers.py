"""Peers that mean no good: raw bytes on connections of their own, some at once, for a while."""

from __future__ import annotations

import gzip
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from benchmarks.serving.grpc_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    frames_of,
    header_block,
    opening,
    prefixed,
)

SCORE: Final = "/micromoment.v1.ScoringService/Score"
STREAM: Final = "/micromoment.v1.ScoringService/StreamScores"
_CONTINUATION: Final = 0x9
_CANCEL: Final = struct.pack(">I", 8)
_TIMEOUT_S: Final = 2.0
_PART: Final = 16_384

Attack = Callable[[int, threading.Event], None]


@contextmanager
def under(attack: Attack, port: int, *, peers: int = 1) -> Iterator[None]:
    """Attack a port while the body runs: so many peers, each again and again."""
    ends = threading.Event()

    def go_on() -> None:
        while not ends.is_set():
            # A server that closes the connection, or takes no more of it, has had enough.
            with suppress(OSError):
                attack(port, ends)

    threads = [threading.Thread(target=go_on, daemon=True) for _ in range(peers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ends.set()
        for thread in threads:
            thread.join(30)


def connect(port: int) -> socket.socket:
    """Open a connection that waits for nothing longer than two seconds."""
    return socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)


def silent_connections(port: int, number: int) -> list[socket.socket]:
    """Open connections that say nothing, as many as the server lets in."""
    opened = []
    for _ in range(number):
        with suppress(OSError):
            opened.append(connect(port))
    return opened


def gzip_bomb(size: int) -> bytes:
    """Make a gRPC message that inflates to so many bytes of nothing."""
    squeezed = gzip.compress(bytes(size), 9) if size <= 1 << 26 else _members(size)
    return struct.pack(">BI", 1, len(squeezed)) + squeezed


def _members(size: int) -> bytes:
    # One after the other: what is made for 64 MB serves for each of them.
    part = 1 << 26
    return gzip.compress(bytes(part), 9) * (size // part)


def compressed_call(port: int, message: bytes) -> None:
    """Send a call whose message is compressed, and wait for its end."""
    with connect(port) as connection:
        connection.sendall(opening() + frame(HEADERS, END_HEADERS, 1, _compressed(SCORE)))
        for start in range(0, len(message), _PART):
            connection.sendall(frame(DATA, 0, 1, message[start : start + _PART]))
        connection.sendall(frame(DATA, END_STREAM, 1))
        # The end of the call is a small frame; settings and pings may precede it.
        received = bytearray()
        while not any(one.stream == 1 for one in frames_of(received)):
            received += connection.recv(_PART) or frame(RST_STREAM, 0, 1)


def slow_preface(port: int, ends: threading.Event) -> None:
    """Say HTTP/2's first bytes one by one, a few a second."""
    with connect(port) as connection:
        for byte in PREFACE:
            connection.sendall(bytes([byte]))
            if ends.wait(0.3):
                return


def slow_message(port: int, ends: threading.Event) -> None:
    """Begin a call and send its message byte by byte."""
    with connect(port) as connection:
        head = frame(HEADERS, END_HEADERS, 1, header_block(SCORE, "slow"))
        connection.sendall(opening() + head + frame(DATA, 0, 1, struct.pack(">BI", 0, 200_000)))
        while not ends.wait(0.2):
            connection.sendall(frame(DATA, 0, 1, b"\x0a"))


def hpack_bomb(port: int, ends: threading.Event) -> None:
    """Put one long header into the table, then refer to it thousands of times in each block.

    It reads what it is told: calls of a peer that doesn't wait in the server until it does.
    """
    with connect(port) as connection:
        connection.sendall(opening())
        entry = _table_entry()
        for stream in itertools.count(1, 2):
            if ends.is_set():
                return
            block = header_block(SCORE, "bomb") + (entry if stream == 1 else b"") + b"\xbe" * 12_000
            connection.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, block))
            _drain(connection)


def endless_headers(port: int, ends: threading.Event) -> None:
    """Begin a block of headers and go on with it without end."""
    with connect(port) as connection:
        connection.sendall(opening() + frame(HEADERS, 0, 1, header_block(SCORE, "endless")))
        more = b"".join(b"\x00\x02h" + bytes([65 + n]) + b"\x7e" + b"y" * 126 for n in range(26))
        while not ends.is_set():
            connection.sendall(frame(_CONTINUATION, 0, 1, more * 4))


def endless_references(port: int, ends: threading.Event) -> None:
    """Begin a block of headers and refer in it to a long one without end."""
    with connect(port) as connection:
        connection.sendall(opening())
        block = header_block(SCORE, "endless") + _table_entry()
        connection.sendall(frame(HEADERS, 0, 1, block))
        while not ends.is_set():
            connection.sendall(frame(_CONTINUATION, 0, 1, b"\xbe" * 12_000))


def rapid_reset(port: int, ends: threading.Event) -> None:
    """Begin calls and cancel each at once, as fast as they are taken."""
    with connect(port) as connection:
        connection.sendall(opening())
        head = header_block(STREAM, "reset")
        for first in itertools.count(1, 200):
            burst = b"".join(
                frame(HEADERS, END_HEADERS, stream, head) + frame(RST_STREAM, 0, stream, _CANCEL)
                for stream in range(first, first + 200, 2)
            )
            connection.sendall(burst)
            _drain(connection)
            if ends.wait(0.01):
                return


def settings_flood(port: int, ends: threading.Event) -> None:
    """Send settings that ask to be acknowledged, as fast as they are taken, and read nothing."""
    with connect(port) as connection:
        connection.sendall(opening())
        one = frame(SETTINGS, 0, 0, struct.pack(">HI", 0x4, 65_535)) * 200
        while not ends.wait(0.005):
            connection.sendall(one)


def ping_flood(port: int, ends: threading.Event) -> None:
    """Send pings, as fast as they are taken, and read nothing."""
    with connect(port) as connection:
        connection.sendall(opening())
        while not ends.wait(0.005):
            connection.sendall(frame(PING, 0, 0, os.urandom(8)) * 200)


def noise(port: int, ends: threading.Event) -> None:
    """Send bytes that are no protocol, then frames that are none."""
    with connect(port) as connection:
        connection.sendall(os.urandom(2_000))
        _drain(connection)
    with connect(port) as connection:
        connection.sendall(opening())
        for _ in range(200):
            kind, flags, stream = os.urandom(3)
            connection.sendall(frame(kind % 12, flags, stream, os.urandom(kind)))
        ends.wait(0.01)


def oversize(port: int, ends: threading.Event) -> None:
    """Announce a message of 4 GiB and send what is taken of it."""
    with connect(port) as connection:
        head = frame(HEADERS, END_HEADERS, 1, header_block(SCORE, "large"))
        connection.sendall(opening() + head + frame(DATA, 0, 1, b"\x00\xff\xff\xff\xff"))
        for _ in range(64):
            connection.sendall(frame(DATA, 0, 1, bytes(_PART)))
        _drain(connection)
        ends.wait(0.05)


def bad_calls(port: int, ends: threading.Event) -> None:
    """Send calls that gRPC must refuse: of no length, of two messages, compressed and not."""
    with connect(port) as connection:
        connection.sendall(opening())
        bodies = (b"", b"\x00", prefixed(b"") * 3, b"\x01\x00\x00\x00\x03abc", b"\x07" + bytes(9))
        for number, body in enumerate(bodies * 20):
            stream = 2 * number + 1
            connection.sendall(
                frame(HEADERS, END_HEADERS, stream, header_block(SCORE, "bad"))
                + frame(DATA, END_STREAM, stream, body)
            )
        _drain(connection)
        ends.wait(0.05)


def slow_body(port: int, ends: threading.Event) -> None:
    """Announce a body of 1 MiB and send it byte by byte."""
    with connect(port) as connection:
        connection.sendall(_post(b"Content-Length: 1048576\r\n"))
        while not ends.wait(0.2):
            connection.sendall(b" ")


def slow_headers(port: int, ends: threading.Event) -> None:
    """Send a header every moment and never an end of them."""
    with connect(port) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\n")
        while not ends.wait(0.2):
            connection.sendall(b"X-More: 1\r\n")


def chunked_forever(port: int, ends: threading.Event) -> None:
    """Send a body in chunks without end."""
    with connect(port) as connection:
        connection.sendall(_post(b"Transfer-Encoding: chunked\r\n"))
        while not ends.is_set():
            connection.sendall(b"4000\r\n" + bytes(_PART) + b"\r\n")


def huge_headers(port: int, ends: threading.Event) -> None:
    """Send headers of megabytes."""
    with connect(port) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\n")
        for number in range(2_000):
            connection.sendall(b"X-%d: " % number + b"y" * 4_000 + b"\r\n")
        ends.wait(0.01)


def gzip_body(port: int, ends: threading.Event) -> None:
    """Send a body that would inflate to 64 MB, as JSON."""
    body = gzip.compress(b" " * (1 << 26), 9)
    with connect(port) as connection:
        head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(body)
        connection.sendall(_post(head) + body)
        _drain(connection)
        ends.wait(0.05)


def deep_json(port: int, ends: threading.Event) -> None:
    """Send JSON as deep as a body can be."""
    for opens in (b"[", b'{"events":'):
        body = opens * (1_000_000 // len(opens))
        with connect(port) as connection:
            connection.sendall(_post(b"Content-Length: %d\r\n" % len(body)) + body)
            _drain(connection)
    ends.wait(0.05)


def _post(headers: bytes) -> bytes:
    head = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head + headers + b"\r\n"


def _compressed(path: str) -> bytes:
    name, value = b"grpc-encoding", b"gzip"
    literal = b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return header_block(path, "squeezed") + literal


def _table_entry() -> bytes:
    """Write a header of 3,900 bytes that enters the table."""
    value = b"x" * 3_900
    return b"\x40" + b"\x01a" + b"\x7f" + _integer(len(value) - 127) + value


def _integer(value: int) -> bytes:
    """Write the rest of an HPACK integer."""
    written = bytearray()
    while value >= 128:
        written.append(value % 128 + 128)
        value //= 128
    return bytes([*written, value])


def _drain(connection: socket.socket) -> None:
    """Read what is there, so that the peer can go on writing."""
    connection.settimeout(0.02)
    with suppress(TimeoutError):
        while connection.recv(1 << 16):
            pass
    connection.settimeout(_TIMEOUT_S)


def seconds_until(answered: Callable[[], bool], most_s: float) -> float:
    """Try until a new client is answered; give the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < most_s:
        if answered():
            break
    return time.monotonic() - began
