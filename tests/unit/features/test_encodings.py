"""Keys of the visit looked up in learned tables, by hand."""

from math import isnan
from typing import Any

import numpy as np
import pytest

from micromoment.events.hashing import hash_id
from micromoment.events.vocabulary import EventType
from micromoment.features.tables import ENCODINGS, Tables, neutral_tables
from tests.support.events import AnEvent, AnItem, an_event
from tests.support.folding import features_of


def tables_of(**words: dict[str, float]) -> Tables:
    """Make tables with these words' values in fold 0 and 100 in fold 1."""
    arrays: dict[str, Any] = {"transition_llr": np.zeros((2, 16, 16))}
    for name in ENCODINGS:
        known = sorted((hash_id(word), value) for word, value in words.get(name, {}).items())
        arrays[f"{name}_keys"] = np.array([key for key, _ in known], np.uint64)
        values = np.array([value for _, value in known])
        arrays[f"{name}_values"] = np.stack([values, np.full(len(known), 100.0)])
    return neutral_tables()._replace(**arrays)


def view(event_id: str, item_id: str) -> AnEvent:
    """Make a look at one product."""
    return an_event(event_id=event_id, type=EventType.ITEM_VIEW, items=(AnItem(item_id=item_id),))


def test_pages_add_up() -> None:
    """Each distinct page counts once, an unknown one nothing; the last page stands alone."""
    visit = [
        an_event(event_id=f"e{n}", page_id=page)
        for n, page in enumerate(["/home", "/sale", "/home", "/unknown", "/sale"])
    ]
    features = features_of(visit, tables=tables_of(page={"/home": 0.5, "/sale": -2.0}))
    assert features["page_weight_sum"] == pytest.approx(-1.5)
    assert features["last_page_weight"] == pytest.approx(-2.0)


def test_the_landing_page_stays() -> None:
    """The first page with an id is where the visit landed, whatever follows."""
    visit = [an_event(event_id="e1", page_id="/home"), an_event(event_id="e2", page_id="/sale")]
    features = features_of(visit, tables=tables_of(landing={"/home": 0.25, "/sale": 9.0}))
    assert features["landing_page_llr"] == pytest.approx(0.25)


def test_the_first_known_source_stays() -> None:
    """Source and campaign are those that were known first."""
    visit = [
        an_event(event_id="e1"),
        an_event(event_id="e2", source="google", campaign="spring"),
        an_event(event_id="e3", source="other", campaign="other"),
    ]
    tables = tables_of(
        source={"google": 0.1, "other": 5.0}, campaign={"spring": -0.1, "other": 5.0}
    )
    features = features_of(visit, tables=tables)
    assert features["source_llr"] == pytest.approx(0.1)
    assert features["campaign_llr"] == pytest.approx(-0.1)


def test_the_last_and_the_best_product() -> None:
    """The last product looked at and the highest of all have their own features."""
    visit = [view("e1", "a"), view("e2", "b"), view("e3", "c")]
    features = features_of(visit, tables=tables_of(item={"a": -1.0, "b": 0.75, "c": -0.5}))
    assert features["last_item_llr"] == pytest.approx(-0.5)
    assert features["max_item_llr"] == pytest.approx(0.75)


def test_nothing_seen_is_missing() -> None:
    """A visit without pages, source and products lacks the ratios; its pages sum to 0."""
    features = features_of([an_event(type=EventType.SCROLL)], tables=tables_of())
    assert features["page_weight_sum"] == 0
    for name in ("last_page_weight", "landing_page_llr", "source_llr", "campaign_llr",
                 "last_item_llr", "max_item_llr"):  # fmt: skip
        assert isnan(features[name])
