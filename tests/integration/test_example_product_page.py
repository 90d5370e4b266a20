"""The backend engineer's example runs as it stands: with a server, without one, with a hung one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from micromoment.client import FallbackReason
from micromoment.events.record import (
    FLAG_ANALYTICS_DENIED,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PRIVACY_CONTROL,
)
from tests.support.serving import CountingScorer, SlowUsers, a_server, an_application
from tests.support.troubles import TROUBLES, an_address_of

EXAMPLE = Path(__file__).parents[2] / "examples/product_page.py"
HUNG_S = 600.0
_open = build_opener(ProxyHandler({})).open


@contextmanager
def a_shop(scores: str) -> Iterator[str]:
    """Run the example; gives its address once it is open."""
    command = [sys.executable, str(EXAMPLE), "--scores", scores, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().removesuffix("/p/sku-1")
        finally:
            process.kill()


def pages(address: str, number: int) -> list[str]:
    """Look at a product several times in one visit."""
    cookie, shown = "", []
    for _ in range(number):
        request = Request(f"{address}/p/sku-1", headers={"Cookie": cookie})  # noqa: S310 - our own
        with _open(request, timeout=30) as reply:
            shown.append(reply.read().decode())
            cookie = reply.headers["Set-Cookie"].partition(";")[0]
    return shown


def fallbacks(address: str) -> dict[str, int]:
    """Ask how often the page did without a score."""
    with _open(f"{address}/fallbacks", timeout=30) as reply:
        counts: dict[str, int] = json.load(reply)
    return counts


async def test_pages_are_scored_and_their_visit_goes_on() -> None:
    """Each page's event is counted in the visit that its cookie names."""

    def visit(scores: str) -> tuple[list[str], dict[str, int]]:
        with a_shop(scores) as address:
            pages(address, 1)  # whatever is slow once
            return pages(address, 3), fallbacks(address)

    async with a_server(an_application()) as server:
        shown, counts = await asyncio.to_thread(visit, server.address)
    # On a busy machine single pages may get their fallback: those are counted.
    scored = [page for page in shown if "fallback" not in page]
    assert len(scored) + sum(counts.values()) in {3, 4}
    assert all("<h1>sku-1</h1>" in page for page in shown)
    assert all("converts 0.25, " in page for page in scored)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_a_server_the_page_is_the_page(trouble: str) -> None:
    """Each page is shown, with the usual conversion, and counted with its reason."""
    with an_address_of(trouble) as scores, a_shop(scores) as address:
        shown = pages(address, 3)
        counts = fallbacks(address)
    assert all("<h1>sku-1</h1>" in page and "converts 0.02, fallback" in page for page in shown)
    gone = (FallbackReason.DEADLINE, FallbackReason.UNAVAILABLE)
    assert sum(counts[reason] for reason in gone) == sum(counts.values()) == 3


async def test_a_page_says_and_respects_what_its_visitor_agreed_to() -> None:
    """Cookie and signal go along with the event; without analytics no visit is named."""

    def visit(scores: str) -> list[str | None]:
        with a_shop(scores) as address:
            pages(address, 1)  # whatever is slow once
            named = []
            for cookie in ("", "consent=no-personalization", "consent=no-analytics"):
                request = Request(  # noqa: S310 - our own
                    f"{address}/p/sku-1", headers={"Cookie": cookie, "Sec-GPC": "1"}
                )
                with _open(request, timeout=30) as reply:
                    named.append(reply.headers["Set-Cookie"])
            return named

    scorer = CountingScorer()
    async with a_server(an_application(scorer)) as server:
        named = await asyncio.to_thread(visit, server.address)
    assert [name is None for name in named] == [False, False, True]
    flags = [int(call.batch.events["flags"][0]) for call in scorer.calls[-3:]]
    control = FLAG_PRIVACY_CONTROL
    assert flags == [
        control,
        control | FLAG_PERSONALIZATION_DENIED,
        control | FLAG_ANALYTICS_DENIED,
    ]


async def test_a_hung_server_breaks_no_page() -> None:
    """A server that takes calls and answers none costs the deadline."""

    def visit(scores: str) -> tuple[list[str], dict[str, int]]:
        with a_shop(scores) as address:
            return pages(address, 2), fallbacks(address)

    users = SlowUsers(delay_s=HUNG_S)
    async with a_server(an_application(users=users, user_timeout_s=HUNG_S)) as server:
        shown, counts = await asyncio.to_thread(visit, server.address)
    assert all("converts 0.02, fallback" in page for page in shown)
    assert counts[FallbackReason.DEADLINE] == 2
