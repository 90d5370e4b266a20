"""What a client holds back after refusals, call by call."""

from __future__ import annotations

from itertools import cycle
from types import SimpleNamespace

import grpc

from micromoment.client.pushback import HeldBackError, Pushback


class Client:
    """Calls a server that answers some, by a clock of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        chances = cycle([place / 97 for place in range(97)])
        self.pushback = Pushback(lambda: self.now, lambda: next(chances))

    def call(self, answered: bool) -> bool:
        """Call a millisecond later; tell whether the call was sent."""
        self.now += 0.001
        try:
            self.pushback.check()
        except HeldBackError:
            return False
        if answered:
            self.pushback.answered()
        else:
            self.pushback.failed(refusal())
        return True


def refusal(
    code: grpc.StatusCode = grpc.StatusCode.RESOURCE_EXHAUSTED, pushback: str = "100"
) -> SimpleNamespace:
    """Make the error of a refused call."""
    trailers = (("grpc-retry-pushback-ms", pushback),)
    return SimpleNamespace(code=lambda: code, trailing_metadata=lambda: trailers)


def test_a_server_that_answers_gets_every_call() -> None:
    """And one that fails for other reasons, too."""
    client = Client()
    assert all(client.call(answered=True) for _ in range(1_000))
    client.pushback.failed(refusal(grpc.StatusCode.UNAVAILABLE))
    assert all(client.call(answered=True) for _ in range(100))


def test_a_server_that_refuses_all_gets_few() -> None:
    """Enough to learn that it answers again."""
    client = Client()
    sent = sum(client.call(answered=False) for _ in range(2_000))
    assert 10 < sent < 200


def test_a_server_that_answers_every_third_gets_half_as_much_again() -> None:
    """Of 3,000 calls wanted it answers up to 1,000: it gets some 1,500 and refuses 500."""
    client = Client()
    sent = answered = 0
    for place in range(3_000):
        is_answered = answered < place / 3
        if client.call(is_answered):
            sent += 1
            answered += is_answered
    assert answered > 950
    assert sent < 1.8 * answered


def test_it_ends_with_the_time_that_the_server_said() -> None:
    """A tenth of a second after the last refusal every call is sent."""
    client = Client()
    for _ in range(500):
        client.call(answered=False)
    client.now += 0.1
    assert all(client.call(answered=True) for _ in range(100))


def test_a_refusal_without_a_time_holds_nothing_back() -> None:
    """A request that is too large is RESOURCE_EXHAUSTED, too."""
    client = Client()
    for _ in range(100):
        client.pushback.check()
        client.pushback.failed(refusal(pushback="soon"))
    assert all(client.call(answered=True) for _ in range(100))


def test_what_is_held_back_looks_like_a_refusal() -> None:
    """A caller needs no other branch for it."""
    error = HeldBackError()
    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "overloaded" in error.details()
    assert error.trailing_metadata() == ()
