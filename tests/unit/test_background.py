"""What goes on beside the calls does not end in silence, nor by what it did not expect."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog

from micromoment import erasure
from micromoment.background import in_background, tell_of_threads
from micromoment.bundle_poll import BundlePoll
from micromoment.erasure import Eraser
from micromoment.events.identity import IdEncoder
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.withdrawals import Deletions
from micromoment.transport.turns import Turns
from tests.support.shared_sessions import key_of

TRIES = 500


async def until(is_so: Any) -> None:  # noqa: ANN401 - a function
    """Wait until something is so."""
    for _ in range(TRIES):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it is not so")


async def test_a_task_that_ends_by_a_mistake_is_told() -> None:
    """By what it did and the class of the error, not its message; one that is cancelled is not."""

    async def mistaken() -> None:
        raise ValueError("somebody@example.com")

    with structlog.testing.capture_logs() as logs:
        cancelled = in_background(asyncio.sleep(60), "sleeping")
        cancelled.cancel()
        await asyncio.wait([cancelled, in_background(mistaken(), "upkeep")])
        await asyncio.sleep(0)
    assert logs == [
        {
            "event": "background_ended",
            "work": "upkeep",
            "error": "ValueError",
            "log_level": "error",
        }
    ]


def test_a_thread_that_ends_by_a_mistake_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of threads."""

    def mistaken() -> None:
        raise ValueError("somebody@example.com")

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    tell_of_threads()
    with structlog.testing.capture_logs() as logs:
        thread = threading.Thread(target=mistaken, name="upkeep")
        thread.start()
        thread.join(10)
    assert [(one["work"], one["error"]) for one in logs] == [("upkeep", "ValueError")]


def test_a_thread_that_ends_itself_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no mistake."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    tell_of_threads()
    with structlog.testing.capture_logs() as logs:
        thread = threading.Thread(target=sys.exit)
        thread.start()
        thread.join(10)
    assert logs == []


async def test_erasures_are_gone_on_with_after_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A register that can't be read is read again."""
    monkeypatch.setattr(erasure, "RETRY_S", 0.01)

    class Register:
        asked = 0

        async def pending(self) -> list[Any]:
            self.asked += 1
            raise ValueError("no JSON")

    register: Any = Register()
    places: Any = None
    eraser = Eraser(places, register, IdEncoder(), Turns())
    with structlog.testing.capture_logs() as logs:
        task = in_background(eraser.run(), "erasing")
        await until(lambda: register.asked > 2)
        task.cancel()
        await asyncio.wait([task])
    assert {(one["event"], one["error"]) for one in logs} == {("erasing_failed", "ValueError")}


async def test_a_pointer_is_followed_after_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a look came to, there is another one."""
    bundles: Any = None
    poll = BundlePoll(tmp_path, "shop:serving", bundles, 0.01)
    looks: list[int] = []

    async def mistaken() -> None:
        looks.append(1)
        raise TypeError("a mistake")

    monkeypatch.setattr(poll, "look", mistaken)
    task = in_background(poll.run(), "bundle-poll")
    await until(lambda: len(looks) > 2)
    task.cancel()
    await asyncio.wait([task])


async def test_deletions_are_tried_again_after_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever waits for one is told once it is done."""
    monkeypatch.setattr("micromoment.stores.withdrawals._RETRY_S", 0.01)
    mistakes = [TypeError("a mistake")]

    async def delete(_: object) -> None:
        if mistakes:
            raise mistakes.pop()

    deletions = Deletions(delete, SessionStoreUnavailableError, wait_s=10)
    deletions.add(key_of("s1"))
    assert await deletions.done(key_of("s1"))
    await deletions.close()


async def test_nobody_waits_for_ever_for_an_answer_that_was_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A round trip that fails as nothing else does counts as one that Redis did not answer."""
    link = RedisLink("redis://127.0.0.1:1", 1.0)

    async def mistaken(_: object) -> None:
        raise AttributeError("a mistake")

    monkeypatch.setattr(link, "_round_trip", mistaken)
    async with asyncio.timeout(10):
        with pytest.raises(SessionStoreUnavailableError):
            await link.ask(b"PING")
    await link.close()
