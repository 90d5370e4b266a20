"""What visitors do beside looking and buying, by hand."""

import pytest

from micromoment.events.vocabulary import EventType
from micromoment.features.families import acts
from tests.support.events import an_event
from tests.support.folding import features_of

COUNTED = {
    EventType.REVIEW: "n_reviews",
    EventType.SHARE: "n_shares",
    EventType.COMPARE: "n_compares",
    EventType.WISHLIST_REMOVE: "n_wishlist_removes",
    EventType.FORM_START: "n_form_starts",
    EventType.FORM_ABANDON: "n_form_abandons",
    EventType.VIDEO_START: "n_video_starts",
    EventType.DOWNLOAD: "n_downloads",
    EventType.SUPPORT_CONTACT: "n_support_contacts",
    EventType.LINK_CLICK: "n_link_clicks",
}


@pytest.mark.parametrize("kind", COUNTED)
def test_each_act_is_counted_under_its_own_name(kind: EventType) -> None:
    """Two of a kind are 2 of its feature, and 0 of every other one of the family."""
    features = features_of([an_event(event_id=f"e{n}", type=kind) for n in range(2)])
    counts = {name: features[name] for name in COUNTED.values()}
    assert counts == dict.fromkeys(COUNTED.values(), 0) | {COUNTED[kind]: 2}


def test_other_events_are_no_acts() -> None:
    """One event of each other type counts for none of them."""
    others = [kind for kind in EventType if kind not in COUNTED]
    features = features_of([an_event(event_id=f"e{n}", type=k) for n, k in enumerate(others)])
    assert [features[spec.name] for spec in acts.FEATURES] == [0] * len(COUNTED)
