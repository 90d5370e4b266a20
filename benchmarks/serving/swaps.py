"""Swaps of bundles while something else is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from threading import Event, Thread
from typing import Final

from micromoment.client.admin import AdminClient

EVERY_S: Final = 2.0


@contextmanager
def swapping(address: str, tags: tuple[str, str]) -> Iterator[None]:
    """Let the two bundles answer by turns, `EVERY_S` from swap to swap, until the block ends.

    Raises what an activation raised, `grpc.RpcError`.
    """
    ended, failures = Event(), list[Exception]()

    def swap() -> None:
        try:
            with AdminClient(address) as admin:
                for tag in cycle((tags[1], tags[0])):
                    admin.activate_bundle(tag)
                    if ended.wait(EVERY_S):
                        return
        except Exception as error:  # noqa: BLE001 - raised below, where somebody sees it
            failures.append(error)

    thread = Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]
