"""A client that sends another body with every call: what h2load can't.

One connection, one thread, a fixed number of calls in flight; when one is answered the next is
sent. It writes and reads HTTP/2 frames as bytes, since a gRPC library would cost more than the
server. All replies are kept, so that each can be checked after the clock has stopped.
"""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.serving import grpc_frames as h2
from benchmarks.serving.errors import BenchmarkError
from benchmarks.serving.measures import Load, load_of

_TIMEOUT_S = 30.0
_READ_BYTES = 256 * 1_024


class CallFailedError(BenchmarkError):
    """The server reset a call, closed the connection, or answered without a message."""


@dataclass(slots=True)
class Answers:
    """What came back: replies in the order of the bodies sent, latencies as they ended."""

    bodies: list[bytes]
    latencies_ms: list[float]
    seconds: float

    def load(self) -> Load:
        """Sum the run up."""
        size = sum(map(len, self.bodies)) / max(len(self.bodies), 1)
        return load_of(self.latencies_ms, self.seconds, size)


@dataclass(slots=True)
class _Connection:
    """The state of one connection: the next stream, what may still be sent, what is open."""

    link: socket.socket
    head: bytes
    stream: int = 1
    window: int = h2.FIRST_WINDOW
    received: bytearray = field(default_factory=bytearray)
    began: dict[int, float] = field(default_factory=dict)
    replies: dict[int, bytes] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)


def call_each(
    port: int, path: str, bodies: Sequence[bytes], in_flight: int, seconds: float
) -> Answers:
    """Send the bodies, gRPC messages without prefix, until they or the seconds run out.

    Raises `CallFailedError` for a call that ended without a message.
    """
    waiting = iter([h2.prefixed(body) for body in bodies])
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(link, h2.header_block(path, f"127.0.0.1:{port}"))
        link.sendall(h2.opening())
        gc.disable()
        try:
            took = _run(connection, waiting, in_flight, seconds)
        finally:
            gc.enable()
    replies = [connection.replies[stream] for stream in sorted(connection.replies)]
    for reply in replies:
        try:
            h2.message_of(reply)
        except ValueError as error:
            raise CallFailedError(str(error)) from None
    return Answers([reply[5:] for reply in replies], connection.latencies_ms, took)


def _run(
    connection: _Connection, waiting: Iterator[bytes], in_flight: int, seconds: float
) -> float:
    started = time.perf_counter()
    end = started + seconds
    left = next(waiting, None)
    while left is not None or connection.began:
        parts: list[bytes] = []
        while left is not None and len(connection.began) + len(parts) // 2 < in_flight:
            if len(left) > connection.window or time.perf_counter() >= end:
                break
            connection.window -= len(left)
            parts += _call(connection.stream + len(parts), connection.head, left)
            left = next(waiting, None)
        if parts:
            now = time.perf_counter()
            for _ in range(len(parts) // 2):
                connection.began[connection.stream] = now
                connection.stream += 2
            connection.link.sendall(b"".join(parts))
        if time.perf_counter() >= end:
            left = None
        if connection.began or left is not None:
            _read(connection)
    return time.perf_counter() - started


def _call(stream: int, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    return (
        h2.frame(h2.HEADERS, h2.END_HEADERS, stream, head),
        h2.frame(h2.DATA, h2.END_STREAM, stream, body),
    )


def _read(connection: _Connection) -> None:
    some = connection.link.recv(_READ_BYTES)
    now = time.perf_counter()
    if not some:
        raise CallFailedError("the server closed the connection")
    connection.received += some
    for kind, flags, stream, payload in h2.frames_of(connection.received):
        if kind == h2.DATA:
            connection.replies[stream] = connection.replies.get(stream, b"") + payload
        elif kind == h2.HEADERS:
            if flags & h2.END_STREAM:
                connection.replies.setdefault(stream, b"")
                connection.latencies_ms.append((now - connection.began.pop(stream)) * 1e3)
        else:
            _heed(connection, kind, flags, stream, payload)


def _heed(connection: _Connection, kind: int, flags: int, stream: int, payload: bytes) -> None:
    if kind == h2.WINDOW_UPDATE and stream == 0:
        connection.window += int.from_bytes(payload, "big")
    elif kind in {h2.SETTINGS, h2.PING} and not flags & h2.ACK:
        answer = payload if kind == h2.PING else b""
        connection.link.sendall(h2.frame(kind, h2.ACK, 0, answer))
    elif kind in {h2.RST_STREAM, h2.GOAWAY}:
        raise CallFailedError("the server refused a call")
