"""A client with one stream that stays open: new messages while answers to earlier ones come."""

from __future__ import annotations

import gc
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.serving import grpc_frames as h2
from benchmarks.serving.distinct import Answers, CallFailedError

_TIMEOUT_S: Final = 30.0
_READ_BYTES: Final = 256 * 1_024
_STREAM: Final = 1
_PREFIX_BYTES: Final = 5


@dataclass(slots=True)
class _Stream:
    """The stream: `windows` are the bytes that the server takes, on the connection and on it."""

    link: socket.socket
    windows: dict[int, int]
    received: bytearray = field(default_factory=bytearray)
    data: bytearray = field(default_factory=bytearray)
    began: deque[float] = field(default_factory=deque)
    replies: list[bytes] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    ended: bool = False

    def takes(self, size: int) -> bool:
        """Tell whether so many bytes may be sent."""
        return size <= min(self.windows.values())

    def read(self) -> None:
        """Wait for bytes and take note of what they say."""
        try:
            some = self.link.recv(_READ_BYTES)
        except TimeoutError:
            raise CallFailedError(f"no answer within {_TIMEOUT_S:.0f} s") from None
        if not some:
            raise CallFailedError("the server closed the connection")
        self.received += some
        for kind, flags, stream, payload in h2.frames_of(self.received):
            if kind == h2.DATA:
                self.data += payload
            elif kind == h2.HEADERS:
                self.ended = self.ended or bool(flags & h2.END_STREAM)
            elif kind == h2.WINDOW_UPDATE:
                self.windows[stream] += int.from_bytes(payload, "big")
            elif kind in {h2.SETTINGS, h2.PING} and not flags & h2.ACK:
                self._acknowledge(kind, payload)
            elif kind in {h2.RST_STREAM, h2.GOAWAY}:
                raise CallFailedError("the server refused the stream")
        self._take_messages(time.perf_counter())

    def _acknowledge(self, kind: int, payload: bytes) -> None:
        if kind == h2.SETTINGS:
            # A stream that is open gets the difference to the window that it began with.
            self.windows[_STREAM] += h2.initial_window(payload, h2.FIRST_WINDOW) - h2.FIRST_WINDOW
        self.link.sendall(h2.frame(kind, h2.ACK, 0, payload if kind == h2.PING else b""))

    def _take_messages(self, now: float) -> None:
        place = 0
        while len(self.data) - place >= _PREFIX_BYTES:
            _, size = struct.unpack_from(">BI", self.data, place)
            end = place + _PREFIX_BYTES + size
            if end > len(self.data):
                break
            self.replies.append(bytes(self.data[place + _PREFIX_BYTES : end]))
            self.latencies_ms.append((now - self.began.popleft()) * 1e3)
            place = end
        del self.data[:place]


def call_streamed(
    port: int, path: str, bodies: Sequence[bytes], in_flight: int, seconds: float
) -> Answers:
    """Send the bodies, gRPC messages without prefix, on one stream until the seconds run out.

    Latencies suppose that answers come in the order of the bodies. Raises `CallFailedError` when
    the stream ends early.
    """
    waiting = deque(map(h2.prefixed, bodies))
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = h2.header_block(path, f"127.0.0.1:{port}")
        link.sendall(h2.opening() + h2.frame(h2.HEADERS, h2.END_HEADERS, _STREAM, head))
        stream = _Stream(link, {0: h2.FIRST_WINDOW, _STREAM: h2.FIRST_WINDOW})
        gc.disable()
        started = time.perf_counter()
        try:
            _keep_in_flight(stream, waiting, in_flight, started + seconds)
        finally:
            gc.enable()
        took = time.perf_counter() - started
        link.sendall(h2.frame(h2.DATA, h2.END_STREAM, _STREAM))
        while not stream.ended:
            stream.read()
    return Answers(stream.replies, stream.latencies_ms, took)


def _keep_in_flight(stream: _Stream, waiting: deque[bytes], in_flight: int, end: float) -> None:
    while waiting or stream.began:
        now = time.perf_counter()
        if now >= end:
            waiting.clear()
        parts: list[bytes] = []
        while waiting and len(stream.began) < in_flight and stream.takes(len(waiting[0])):
            body = waiting.popleft()
            for key in stream.windows:
                stream.windows[key] -= len(body)
            stream.began.append(now)
            parts.append(h2.frame(h2.DATA, 0, _STREAM, body))
        if parts:
            stream.link.sendall(b"".join(parts))
        if waiting or stream.began:
            if stream.ended:
                raise CallFailedError("the server ended the stream")
            stream.read()
