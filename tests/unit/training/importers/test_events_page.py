from __future__ import annotations

import re
from pathlib import Path

from micromoment.events.schema import EVENT_SCHEMA, ITEM_TYPE
from micromoment.events.vocabulary import EventType, PageType, names
from training.importers.ga4_names import ga4_events

PAGE = Path(__file__).parents[4] / "docs" / "events.md"


def test_the_events_page_names_every_column_and_word() -> None:
    """docs/events.md describes each column, event type and page type, and each GA4 name."""
    text = PAGE.read_text(encoding="utf-8")
    quoted = set(re.findall(r"`([a-z_.]+)`", text))
    assert set(EVENT_SCHEMA.names) <= quoted
    assert {f"items.{field.name}" for field in ITEM_TYPE} <= quoted
    assert set(names(EventType)) <= quoted
    assert set(names(PageType)) - {"unspecified"} <= quoted
    assert all(re.search(rf"\b{name}\b", text) for name, _, _ in ga4_events())
