"""The order of what happened, by hand."""

from math import isnan

import numpy as np
import pytest

from micromoment.events.vocabulary import EventGroup, EventType, PageType
from tests.support.events import an_event
from tests.support.folding import features_of, transition_tables

VISIT = [
    an_event(event_id="e1", page_type=PageType.HOME),
    an_event(event_id="e2", type=EventType.SEARCH),
    an_event(event_id="e3", type=EventType.OTHER),  # without a symbol
    an_event(event_id="e4", type=EventType.ITEM_VIEW),
    an_event(event_id="e5", type=EventType.SEARCH),
]


def test_log_likelihood_ratio_of_a_path() -> None:
    """The path start, home, search, item, search sums the ratios of its four transitions."""
    table = np.zeros((2, 16, 16))
    table[0, EventGroup.OTHER, EventGroup.HOME] = 1.0
    table[0, EventGroup.HOME, EventGroup.SEARCH] = 0.25
    table[0, EventGroup.SEARCH, EventGroup.ITEM] = -2.0
    table[0, EventGroup.ITEM, EventGroup.SEARCH] = 0.5
    table[0, EventGroup.HOME, EventGroup.ITEM] = 100.0  # does not happen
    table[1] = 100.0  # another fold
    features = features_of(VISIT, tables=transition_tables(table))
    assert features["transition_llr"] == pytest.approx(-0.25)
    assert features["transition_llr_mean"] == pytest.approx(-0.0625)


def test_the_last_three_groups() -> None:
    """The last symbols are given newest first; those that a short visit lacks are missing."""
    features = features_of(VISIT)
    assert features["last_group"] == EventGroup.SEARCH
    assert features["last_group_2"] == EventGroup.ITEM
    assert features["last_group_3"] == EventGroup.SEARCH
    features = features_of(VISIT[:1])
    assert features["last_group"] == EventGroup.HOME
    assert isnan(features["last_group_2"])
    assert isnan(features["last_group_3"])


def test_no_symbol() -> None:
    """A visit of events without a symbol has a ratio of 0 and no mean."""
    features = features_of([an_event(type=EventType.SESSION_START)])
    assert features["transition_llr"] == 0
    assert isnan(features["transition_llr_mean"])
    assert isnan(features["last_group"])
