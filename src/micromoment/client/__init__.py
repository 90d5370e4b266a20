"""The client that a storefront imports: quick to import, nothing but gRPC behind it.

from micromoment.client import Client, event, item

with Client("localhost:50051", deadline_s=0.02) as client:
    reply = client.score_or_fallback(
        "session-1",
        [event("item_view", items=[item("sku-1", price="19.99")])],
        anonymous_id="browser-1",
    )
    print(reply.conversion)
"""

from micromoment.client.access import AccessOptions
from micromoment.client.aio import AsyncClient
from micromoment.client.consent import consent, consent_mode, may_personalize
from micromoment.client.events import event, item
from micromoment.client.fallback import Fallback, FallbackReason, is_fallback
from micromoment.client.requests import score_request
from micromoment.client.stream import ScoreRefusedError, ScoreStream
from micromoment.client.sync import Client

__all__ = [
    "AccessOptions",
    "AsyncClient",
    "Client",
    "Fallback",
    "FallbackReason",
    "ScoreRefusedError",
    "ScoreStream",
    "consent",
    "consent_mode",
    "event",
    "is_fallback",
    "item",
    "may_personalize",
    "score_request",
]
