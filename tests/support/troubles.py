"""Addresses where no answer comes from, each in its own way, by real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

TROUBLES = ("refused", "silent", "black_hole", "no_such_name")


@contextmanager
def an_address_of(trouble: str) -> Iterator[str]:
    """Give an address with the trouble of this name, while the block lasts."""
    if trouble == "no_such_name":
        yield "dns:///no-such-name.invalid:50051"
        return
    with {"refused": _refused, "silent": _silent, "black_hole": _black_hole}[trouble]() as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def _refused() -> Iterator[int]:
    # Bound and not listening: nobody else gets the port, and who connects is refused.
    with _bound() as bound:
        yield _port(bound)


@contextmanager
def _silent() -> Iterator[int]:
    """Accept connections and never say anything."""
    accepted: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                accepted.append(listening.accept()[0])

    with _bound() as listening:
        listening.listen()
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield _port(listening)
        finally:
            # Closing alone does not wake a thread that accepts.
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()


@contextmanager
def _black_hole() -> Iterator[int]:
    """Drop whoever connects: the kernel ignores a SYN where the queue of a listener is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(_bound())
        listening.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield _port(listening)


def _bound() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
