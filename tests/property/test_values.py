"""No sequence of events makes an exception, an infinite value or an undocumented NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.record import RecordArray
from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from tests.support.events import START_US, AnEvent, AnItem, an_event
from tests.support.folding import fold, random_tables, taken_up, vector
from tests.support.strategies import INT64_MAX, LAST_US, event_sequences, user_lookups

TABLES = random_tables()


def wrong_values(record: RecordArray) -> dict[str, float]:
    """Give the features that are infinite, or missing although their entry says never."""
    values = {spec: float(record[0][spec.name]) for spec in SESSION_FEATURES}
    return {
        spec.name: value
        for spec, value in values.items()
        if not np.isfinite(value) and not (spec.missing and np.isnan(value))
    }


@given(event_sequences(), user_lookups(), st.sampled_from([0, 1, 10**9, None]))
def test_values_are_finite_or_the_documented_nan(
    visit: list[AnEvent], lookup: UserLookup, ahead_us: int | None
) -> None:
    """After every event, and at any later time, each value is finite or its entry says missing."""
    states = fold(visit[:0])
    for event in visit:
        fold([event], states, lookup)
        assert wrong_values(vector(states, TABLES)) == {}
        now = LAST_US if ahead_us is None else int(states[0]["last_time"]) + ahead_us
        assert wrong_values(vector(states, TABLES, now)) == {}


def test_the_largest_numbers_stay_finite() -> None:
    """The largest price times the largest quantity, 50 items an event, overflows nothing."""
    priced = AnItem(price_micros=INT64_MAX, quantity=1_000_000)
    kinds = ("CART_ADD", "CART_VIEW", "ITEM_VIEW", "CART_REMOVE", "CHECKOUT_START", "CART_ADD")
    types = [type(an_event().type)[kind] for kind in kinds]
    visit = [
        an_event(event_id=f"e{n}", type=types[n % len(types)], items=(priced,) * 50)
        for n in range(120)
    ]
    assert wrong_values(vector(fold(visit), TABLES)) == {}


@pytest.mark.parametrize("spec", [spec for spec in SESSION_FEATURES if spec.missing])
def test_what_may_be_missing_is_missing_somewhere(spec: object) -> None:
    """A feature that may be missing is so in a visit of one bare event, or before that event."""
    name = spec.name  # type: ignore[attr-defined]
    bare = an_event(type=type(an_event().type).OTHER)
    lookup = no_lookup(UserStatus.UNAVAILABLE)
    record = vector(fold([bare], lookup=lookup), TABLES)
    before = vector(taken_up(lookup), TABLES, START_US)
    assert np.isnan(record[0][name]) or np.isnan(before[0][name])
