"""E-mail addresses in texts of events: with pseudonyms on they are masked before anything is kept.

Ids of people come in fields of their own and become pseudonyms. But a page's path, its title, a
campaign's name, an order id or an attribute can carry an address by a storefront's mistake. Ids of
events and of products stay as they are: retries and catalogues need them to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from micromoment.v1 import events_pb2 as pb

# Not longer than the shortest address, so that no masked text breaks a limit.
MASK: Final = "[mail]"
# In Parquet the fields that are masked, beside `attributes`.
MASKED_COLUMNS: Final = (
    "order_id",
    "page_id",
    "page_title",
    "referrer_campaign",
    "referrer_source",
)
# Bounded, so that no text takes long.
_ADDRESS: Final = re.compile(
    r"[\w.%+'-]{1,64}(?:@|%40)[^\W_](?:[\w-]{0,62}\.){1,8}[^\W\d_]{2,24}", re.IGNORECASE
)


def masked(text: str) -> str:
    """Put `MASK` in place of each e-mail address in a text, also in percent-encoded ones."""
    return _ADDRESS.sub(MASK, text) if "@" in text or "%40" in text else text


def mask_events(events: Iterable[pb.Event]) -> int:
    """Mask e-mail addresses in events; give how many of them had one."""
    return sum(map(_mask_event, events))


def _mask_event(event: pb.Event) -> bool:
    found = _mask_fields(event, "order_id")
    if event.HasField("page"):
        found |= _mask_fields(event.page, "page_id", "title")
    if event.HasField("referrer"):
        found |= _mask_fields(event.referrer, "campaign", "source")
    attributes = event.attributes
    if attributes:
        pairs = {masked(key): masked(value) for key, value in attributes.items()}
        if pairs != dict(attributes):
            found = True
            attributes.clear()
            attributes.update(pairs)
    return found


def _mask_fields(message: Any, *names: str) -> bool:  # noqa: ANN401 - of several types
    found = False
    for name in names:
        text = getattr(message, name)
        if "@" in text or "%40" in text:
            clean = masked(text)
            if clean != text:
                setattr(message, name, clean)
                found = True
    return found
