"""Calls at a constant rate whatever becomes of them: an open loop, on plain HTTP/2 frames.

    python -m benchmarks.open_loop PLAN_FILE

A client that waits for answers slows down with the server and hides an overload. This one sends
each call when it is due and counts its time from then, also where it is late itself. Frames are
written and read as bytes, so that one process can ask for several times what a server can answer.
The plan is JSON (`Plan`); what became of the calls goes to standard output, a JSON array of
`Second`, one for each second of the plan.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final, cast

import uvloop

from benchmarks.serving.grpc_frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    frame,
    frames_of,
    header_block,
    opening,
    prefixed,
    status_of,
)

# In each message it is replaced by the call's number, of as many digits.
NUMBER: Final = b"0000000000"
# Beside gRPC's statuses: an HTTP/2 reset, and a call that had not ended when the client did.
RESET: Final = 100
UNENDED: Final = 101
_TICK_S: Final = 0.001
_SPARE_S: Final = 0.2
_PUSHBACK: Final = b"grpc-retry-pushback-ms"
_MAX_STREAMS: Final = 0x3


@dataclass(frozen=True)
class Plan:
    """What to call: messages in hex, in turn; phases as (calls a second, seconds).

    In a phase of rate 0 `in_flight` calls are under way all the time: a closed loop, which tells
    how many can be answered.
    """

    port: int
    path: str
    messages: list[str]
    phases: list[tuple[float, int]]
    timeout_ms: int = 1_000
    connections: int = 4
    in_flight: int = 32
    first_number: int = 0


@dataclass
class Second:
    """What became of the calls that were due in one second: seconds that each took, by status.

    It began at `began` of the machine's monotonic clock.
    """

    phase: int
    began: float
    sent: int = 0
    times: dict[int, list[float]] = field(default_factory=dict)
    pushed_back: int = 0

    def ended(self, status: int, seconds: float, pushed_back: bool) -> None:
        """Take note of a call."""
        self.times.setdefault(status, []).append(seconds)
        self.pushed_back += pushed_back


@dataclass(slots=True)
class _Call:
    second: Second
    due: float
    body: bytes

    def ended(self, status: int, pushed_back: bool = False) -> None:
        self.second.ended(status, perf_counter() - self.due, pushed_back)


class _Connection(asyncio.Protocol):
    def __init__(self, headers: bytes) -> None:
        self._headers = headers
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: deque[_Call] = deque()
        self._open: dict[int, _Call] = {}
        self._next_stream = 1
        self._window = FIRST_WINDOW
        self._most_open = 2**31 - 1
        self._out: list[bytes] = []
        self._on_frame: dict[int, Callable[[Frame], None]] = {
            HEADERS: self._on_headers,
            RST_STREAM: self._on_reset,
            SETTINGS: self._on_settings,
            PING: self._on_ping,
            WINDOW_UPDATE: self._on_window_update,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open as HTTP/2 wants it."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(opening())

    def data_received(self, data: bytes) -> None:
        """Take in what the server says."""
        self._received += data
        for one in frames_of(self._received):
            take = self._on_frame.get(one.kind)
            if take is not None:
                take(one)

    def call(self, call: _Call) -> None:
        """Send a call with the next `flush`, or when the server allows it."""
        self._waiting.append(call)

    def flush(self) -> None:
        """Send what the server allows."""
        out = self._out
        while self._waiting and len(self._open) < self._most_open:
            call = self._waiting[0]
            if len(call.body) > self._window:
                break
            self._waiting.popleft()
            stream, self._next_stream = self._next_stream, self._next_stream + 2
            self._window -= len(call.body)
            self._open[stream] = call
            out.append(frame(HEADERS, END_HEADERS, stream, self._headers))
            out.append(frame(DATA, END_STREAM, stream, call.body))
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
            out.clear()

    def close(self) -> None:
        """Give up what has not ended."""
        for call in (*self._open.values(), *self._waiting):
            call.ended(UNENDED)
        self._open.clear()
        self._waiting.clear()
        if self._transport is not None:
            self._transport.close()

    @property
    def under_way(self) -> int:
        """The calls that have not ended."""
        return len(self._open) + len(self._waiting)

    def _on_headers(self, one: Frame) -> None:
        if one.flags & END_STREAM and (call := self._open.pop(one.stream, None)) is not None:
            call.ended(status_of(one.payload), _PUSHBACK in one.payload)

    def _on_reset(self, one: Frame) -> None:
        if (call := self._open.pop(one.stream, None)) is not None:
            call.ended(RESET)

    def _on_settings(self, one: Frame) -> None:
        if not one.flags & ACK:
            stated = dict(struct.iter_unpack(">HI", one.payload))
            self._most_open = stated.get(_MAX_STREAMS, self._most_open)
            self._out.append(frame(SETTINGS, ACK, 0))

    def _on_ping(self, one: Frame) -> None:
        if not one.flags & ACK:
            self._out.append(frame(PING, ACK, 0, one.payload))

    def _on_window_update(self, one: Frame) -> None:
        if one.stream == 0:
            self._window += int.from_bytes(one.payload, "big")


class _Client:
    """Sends a plan's calls over its connections in turn."""

    def __init__(self, plan: Plan, connections: list[_Connection]) -> None:
        self._plan = plan
        self._connections = connections
        self._bodies = [prefixed(bytes.fromhex(message)) for message in plan.messages]
        self._number = plan.first_number

    async def open_phase(self, seconds_of: list[Second], begin: float, rate: float) -> None:
        """Send each call when it is due."""
        sent, all_calls = 0, int(len(seconds_of) * rate)
        while sent < all_calls:
            due = min(int((perf_counter() - begin) * rate), all_calls)
            for place in range(sent, due):
                self._send(seconds_of[int(place / rate)], begin + place / rate)
            sent = max(sent, due)
            await self._tick()

    async def closed_phase(self, seconds_of: list[Second], begin: float) -> None:
        """Send a call whenever one has ended."""
        while (now := perf_counter()) < begin + len(seconds_of):
            for _ in range(self._plan.in_flight - self._under_way()):
                self._send(seconds_of[max(int(now - begin), 0)], now)
            await self._tick()

    async def settle(self) -> None:
        """Wait for what is under way, not longer than its deadline; give up the rest."""
        end = perf_counter() + self._plan.timeout_ms / 1e3 + _SPARE_S
        while perf_counter() < end and self._under_way():
            await self._tick()
        for connection in self._connections:
            connection.close()

    def _send(self, second: Second, due: float) -> None:
        second.sent += 1
        number, self._number = self._number, self._number + 1
        body = self._bodies[number % len(self._bodies)].replace(NUMBER, b"%010d" % number)
        self._connections[number % len(self._connections)].call(_Call(second, due, body))

    async def _tick(self) -> None:
        for connection in self._connections:
            connection.flush()
        await asyncio.sleep(_TICK_S)

    def _under_way(self) -> int:
        return sum(connection.under_way for connection in self._connections)


async def run(plan: Plan) -> list[Second]:
    """Carry the plan out."""
    loop = asyncio.get_running_loop()
    headers = header_block(plan.path, "open-loop", plan.timeout_ms)
    made = [
        await loop.create_connection(lambda: _Connection(headers), "127.0.0.1", plan.port)
        for _ in range(plan.connections)
    ]
    client = _Client(plan, [connection for _, connection in made])
    await asyncio.sleep(_SPARE_S)
    found: list[Second] = []
    begin = perf_counter()
    for phase, (rate, seconds) in enumerate(plan.phases):
        seconds_of = [Second(phase, begin + place) for place in range(int(seconds))]
        found += seconds_of
        if rate:
            await client.open_phase(seconds_of, begin, rate)
        else:
            await client.closed_phase(seconds_of, begin)
        begin += len(seconds_of)
    await client.settle()
    return found


def main(arguments: list[str]) -> None:
    """Carry out the plan of a file."""
    plan = Plan(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    json.dump([asdict(second) for second in uvloop.run(run(plan))], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
