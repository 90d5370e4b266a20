"""Holds calls back while the server says that it gets too many."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final

import grpc

_TRAILER: Final = "grpc-retry-pushback-ms"
_OVERLOADED: Final = "held back: the server was overloaded a moment ago"
# Half of what was counted is forgotten after so long.
_HALF_LIFE_S: Final = 1.0
# Calls are sent up to this multiple of those that are answered, so that an end is noticed.
_MULTIPLE: Final = 1.5
_FEW: Final = 5.0


class HeldBackError(grpc.RpcError):
    """The call was not sent, because the server had refused others a moment before."""

    def code(self) -> grpc.StatusCode:
        """Give what the server would have answered."""
        return grpc.StatusCode.RESOURCE_EXHAUSTED

    def details(self) -> str:
        """Say why."""
        return _OVERLOADED

    def trailing_metadata(self) -> tuple[()]:
        """Give none: there was no answer."""
        return ()


class Pushback:
    """Lets through what a server answers and half as much again, as long as it pushes back.

    A refusal holds for the milliseconds that its trailer says. The share that is held back follows
    from how many of the last calls were answered, so that an overload is not answered by silence.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._until = 0.0
        self._counted_at = 0.0
        self._wanted = 0.0
        self._answered = 0.0

    def check(self) -> None:
        """Take note of a call that is about to be sent. Raises `HeldBackError` for one too many."""
        now = self._clock()
        self._fade(now)
        self._wanted += 1.0
        if now >= self._until or self._wanted < _FEW:
            return
        if self._chance() < 1.0 - _MULTIPLE * (self._answered + 1.0) / self._wanted:
            raise HeldBackError

    def answered(self) -> None:
        """Take note of an answer."""
        self._answered += 1.0

    def failed(self, error: Any) -> None:  # noqa: ANN401 - its classes are of two stubs
        """Take note of an error that the server or gRPC ended a call with."""
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            return
        for key, value in error.trailing_metadata() or ():
            if key == _TRAILER and value.isdigit():
                self._until = self._clock() + int(value) / 1e3

    def _fade(self, now: float) -> None:
        left = 0.5 ** ((now - self._counted_at) / _HALF_LIFE_S)
        self._wanted *= left
        self._answered *= left
        self._counted_at = now
