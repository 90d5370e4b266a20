"""A shop's product page that asks for scores and never waits for them longer than 20 ms.

    python examples/product_page.py --scores 127.0.0.1:50051 --port 8000

GET /p/<sku> shows the product, and to a visit that is about to leave its cart a word on free
returns, unless it refused to be personalized to. The cookie `consent`, of the shop's banner, holds
`no-analytics` or `no-personalization` or both with a dot between. GET /fallbacks tells how often
the page had to do without a score, and why. Without a server, with one that hangs or restarts, the
page is the same page.
"""

from __future__ import annotations

import argparse
import html
import json
import logging
import uuid
from collections.abc import Callable, Iterable
from http.cookies import SimpleCookie
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from micromoment.client import (
    Client,
    Fallback,
    consent,
    event,
    is_fallback,
    item,
    may_personalize,
)
from micromoment.v1.events_pb2 import CONSENT_STATE_DENIED, Consent
from micromoment.v1.scoring_pb2 import ScoreResponse

DEADLINE_S = 0.02
# What is known of a visit of which nothing is known: the share of this shop's visits that buy.
USUAL = ScoreResponse(conversion=0.02)
ABOUT_TO_LEAVE = 0.7

_log = logging.getLogger("shop")

Start = Callable[[str, list[tuple[str, str]]], object]


class Shop:
    """The shop's pages, as a WSGI application."""

    def __init__(self, scores: Client) -> None:
        self._scores = scores

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        if path == "/fallbacks":
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._scores.fallback_counts()).encode()]
        if not path.startswith("/p/"):
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"no such page"]
        visit = _visit(environ)
        agreed = _consent(environ)
        reply = self._scored(visit, path, agreed)
        headers = [("Content-Type", "text/html; charset=utf-8")]
        if agreed.analytics != CONSENT_STATE_DENIED:
            headers.append(("Set-Cookie", f"visit={visit}; Path=/; HttpOnly; SameSite=Lax"))
        start("200 OK", headers)
        return [_page(path.removeprefix("/p/"), reply).encode()]

    def _scored(self, visit: str, path: str, agreed: Consent) -> ScoreResponse:
        # An event has an id of its own, so a request that is sent twice counts once.
        seen = event(
            "item_view",
            items=[item(path.removeprefix("/p/"), price="19.99")],
            page=path,
            page_type="item",
        )
        return self._scores.score_or_fallback(visit, [seen], anonymous_id=visit, consent=agreed)


def _visit(environ: dict[str, Any]) -> str:
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("visit")
    return cookie.value if cookie else uuid.uuid4().hex


def _consent(environ: dict[str, Any]) -> Consent:
    """Read what the shop's consent banner keeps in a cookie, and the browser's own signal."""
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("consent")
    words = set(cookie.value.split(".")) if cookie else set()
    return consent(
        analytics="denied" if "no-analytics" in words else "",
        personalization="denied" if "no-personalization" in words else "",
        global_privacy_control=environ.get("HTTP_SEC_GPC") == "1",
    )


def _page(sku: str, reply: ScoreResponse) -> str:
    leaving = reply.HasField("abandonment") and reply.abandonment > ABOUT_TO_LEAVE
    # Nobody who said no is treated by what their behaviour tells.
    hint = "<p>Returns are free for 60 days.</p>" if leaving and may_personalize(reply) else ""
    source = "fallback" if is_fallback(reply) else f"{reply.events_seen} events"
    return f"<h1>{html.escape(sku)}</h1>{hint}<!-- converts {reply.conversion:.2f}, {source} -->"


def _log_fallback(fallback: Fallback) -> None:
    # In a shop: a counter of its metrics, by fallback.reason.
    took = fallback.seconds * 1_000
    _log.warning("no score: %s after %.0f ms: %s", fallback.reason, took, fallback.detail)


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main() -> None:
    """Serve the shop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", default="127.0.0.1:50051", help="address of the service")
    parser.add_argument("--port", type=int, default=8_000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    # One client for all threads, made after any fork: in gunicorn's post_fork, say.
    with Client(
        options.scores, deadline_s=DEADLINE_S, fallback=USUAL, on_fallback=_log_fallback
    ) as scores:
        # The first page finds an open connection. Without one the shop opens all the same.
        if not scores.wait_until_ready(1.0):
            _log.warning("no server answers at %s yet", options.scores)
        with make_server("127.0.0.1", options.port, Shop(scores), server_class=_Threads) as server:
            print(f"http://127.0.0.1:{server.server_port}/p/sku-1", flush=True)
            server.serve_forever()


if __name__ == "__main__":
    main()
