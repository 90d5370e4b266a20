"""A TCP proxy in front of Redis that can be slow, cut replies in pieces, break off, or say no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import hiredis


class RedisProxy:
    """Passes commands and replies on; its attributes say what goes wrong with replies from now on.

    `delay` gives seconds before each reply, `piece` cuts replies into so many bytes, `break_off`
    sends half a reply and resets the connection, `error` is the reply to every command.
    """

    def __init__(self, port: int) -> None:
        self._redis_port = port
        self.port = 0
        self.delay: Callable[[], float] | None = None
        self.piece: int | None = None
        self.break_off = False
        self.error: bytes | None = None

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._redis_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._commands(reader, redis_writer, writer))
                both.create_task(self._replies(redis_reader, writer))
        except* (ConnectionError, EOFError):
            pass
        finally:
            for side in (writer, redis_writer):
                side.transport.abort()

    async def _commands(
        self,
        reader: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65_536):
            if self.error is None:
                onward.write(data)
            else:
                back.write(b"-%b\r\n" % self.error * _count_commands(data))
        raise EOFError

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.delay is not None:
                await asyncio.sleep(self.delay())
            if self.break_off:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                break
            size = self.piece or len(data)
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                await writer.drain()
                await asyncio.sleep(0)
        raise EOFError


@asynccontextmanager
async def a_redis_proxy(port: int) -> AsyncIterator[RedisProxy]:
    """Run a proxy in front of a Redis until the block ends."""
    proxy = RedisProxy(port)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.connected(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _count_commands(data: bytes) -> int:
    reader = hiredis.Reader()
    reader.feed(data)
    count = 0
    while reader.gets() is not False:
        count += 1
    return count
