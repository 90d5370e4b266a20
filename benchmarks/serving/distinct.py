"""A client that sends another body with every call: what h2load can't.

One connection, one thread. It writes and reads HTTP/2 frames as bytes, since a gRPC library would
take more processor time than the server. All replies are kept, so that each can be checked after
the clock has stopped.
"""

from __future__ import annotations

import gc
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.serving import grpc_frames as h2
from benchmarks.serving.errors import BenchmarkError
from benchmarks.serving.measures import Load, load_of

_TIMEOUT_S: Final = 30.0
_READ_BYTES: Final = 256 * 1_024
_WAKE_EARLY_S: Final = 150e-6  # a sleep ends up to so much late


class CallFailedError(BenchmarkError):
    """The server reset a call, closed the connection, or answered without a message."""


@dataclass(frozen=True, slots=True)
class Via:
    """How a server is called: over TLS or plainly, with which headers more."""

    tls: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def over(self, link: socket.socket) -> socket.socket:
        """Give the connection that is spoken over."""
        if self.tls is None:
            return link
        return self.tls.wrap_socket(link, server_hostname="localhost")


PLAINLY: Final = Via()


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
    """One connection: what may still be sent, which calls are open, what came back.

    `began` holds when each open call began, by stream; `window` the bytes that the server takes.
    """

    link: socket.socket
    head: bytes
    stream: int = 1
    window: int = h2.FIRST_WINDOW
    received: bytearray = field(default_factory=bytearray)
    began: dict[int, float] = field(default_factory=dict)
    replies: dict[int, bytes] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, parts: list[bytes], body: bytes, began: float) -> None:
        """Open a call: its frames are added to `parts`, which the caller sends."""
        self.window -= len(body)
        self.began[self.stream] = began
        parts.append(h2.frame(h2.HEADERS, h2.END_HEADERS, self.stream, self.head))
        parts.append(h2.frame(h2.DATA, h2.END_STREAM, self.stream, body))
        self.stream += 2

    def read(self) -> None:
        """Wait for bytes and take note of what they say."""
        try:
            some = self.link.recv(_READ_BYTES)
        except TimeoutError:
            raise CallFailedError(f"no answer within {_TIMEOUT_S:.0f} s") from None
        now = time.perf_counter()
        if not some:
            raise CallFailedError("the server closed the connection")
        self.received += some
        for kind, flags, stream, payload in h2.frames_of(self.received):
            if kind == h2.DATA:
                self.replies[stream] = self.replies.get(stream, b"") + payload
            elif kind == h2.HEADERS:
                if flags & h2.END_STREAM:
                    self.replies.setdefault(stream, b"")
                    self.latencies_ms.append((now - self.began.pop(stream)) * 1e3)
            else:
                self._heed(kind, flags, stream, payload)

    def messages(self) -> list[bytes]:
        """Give the replies in the order of the calls. Raises `CallFailedError` for a failed one."""
        try:
            return [h2.message_of(self.replies[stream]) for stream in sorted(self.replies)]
        except ValueError as error:
            raise CallFailedError(str(error)) from None

    def _heed(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == h2.WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")
        elif kind in {h2.SETTINGS, h2.PING} and not flags & h2.ACK:
            self.link.sendall(h2.frame(kind, h2.ACK, 0, payload if kind == h2.PING else b""))
        elif kind in {h2.RST_STREAM, h2.GOAWAY}:
            raise CallFailedError("the server refused a call")


_Waiting = deque[bytes]


def call_each(
    port: int,
    path: str,
    bodies: Sequence[bytes],
    in_flight: int,
    seconds: float,
    via: Via = PLAINLY,
) -> Answers:
    """Send the bodies, gRPC messages without prefix, until they or the seconds run out.

    When a call is answered the next one is sent. Raises `CallFailedError` for a call that ended
    without a message.
    """

    def run(connection: _Connection, waiting: _Waiting) -> None:
        _keep_in_flight(connection, waiting, in_flight, time.perf_counter() + seconds)

    return _called(port, path, bodies, run, via)


def call_at_rate(port: int, path: str, bodies: Sequence[bytes], rate: float) -> Answers:
    """Send so many bodies a second, whether or not earlier calls have been answered.

    A call's latency counts from when it was due, so that one that had to wait for the client or
    the connection is not the faster for it. Raises as `call_each`.
    """

    def run(connection: _Connection, waiting: _Waiting) -> None:
        _keep_rate(connection, waiting, 1.0 / rate)

    return _called(port, path, bodies, run)


def _called(
    port: int,
    path: str,
    bodies: Sequence[bytes],
    run: Callable[[_Connection, _Waiting], None],
    via: Via = PLAINLY,
) -> Answers:
    waiting = deque(map(h2.prefixed, bodies))
    plain = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with via.over(plain) as link:
        scheme = "http" if via.tls is None else "https"
        head = h2.header_block(path, f"127.0.0.1:{port}", more=via.headers, scheme=scheme)
        connection = _Connection(link, head)
        link.sendall(h2.opening())
        gc.disable()
        started = time.perf_counter()
        try:
            run(connection, waiting)
        finally:
            gc.enable()
        took = time.perf_counter() - started
    return Answers(connection.messages(), connection.latencies_ms, took)


def _keep_in_flight(connection: _Connection, waiting: _Waiting, in_flight: int, end: float) -> None:
    while waiting or connection.began:
        now = time.perf_counter()
        if now >= end:
            waiting.clear()
        parts: list[bytes] = []
        while waiting and len(connection.began) < in_flight:
            if len(waiting[0]) > connection.window:
                break
            connection.add(parts, waiting.popleft(), now)
        if parts:
            connection.link.sendall(b"".join(parts))
        if waiting or connection.began:
            connection.read()


def _keep_rate(connection: _Connection, waiting: _Waiting, interval_s: float) -> None:
    due = time.perf_counter()
    while waiting or connection.began:
        parts: list[bytes] = []
        now = time.perf_counter()
        while waiting and due <= now and len(waiting[0]) <= connection.window:
            connection.add(parts, waiting.popleft(), due)
            due += interval_s
        if parts:
            connection.link.sendall(b"".join(parts))
        if not waiting or due <= now:  # nothing to send, or no room for it
            if connection.began or waiting:
                connection.read()
            continue
        pause = max(due - time.perf_counter() - _WAKE_EARLY_S, 0.0)
        if select.select([connection.link], [], [], pause)[0]:
            connection.read()
