"""The client that a storefront imports: quick to import, nothing but gRPC behind it.

from micromoment.client import Client, event, item

with Client("localhost:50051") as client:
    reply = client.score(
        "session-1",
        [event("item_view", items=[item("sku-1", price="19.99")])],
        anonymous_id="browser-1",
    )
    print(reply.conversion)
"""

from micromoment.client.aio import AsyncClient
from micromoment.client.events import event, item
from micromoment.client.requests import score_request
from micromoment.client.sync import Client

__all__ = ["AsyncClient", "Client", "event", "item", "score_request"]
