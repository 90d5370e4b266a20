"""The catalogue of features and the vector that it describes."""

from dataclasses import replace

import numpy as np
import pytest

from micromoment.features import session
from micromoment.features.catalogue import (
    CHURN_FEATURES,
    CONVERSION_FEATURES,
    FEATURE_FAMILIES,
    FEATURE_NAMES,
    FEATURES,
    SESSION_FEATURES,
    family_of,
    fingerprints,
    learnable_features,
    vector_fingerprint,
)
from tests.support.events import an_event
from tests.support.folding import NEUTRAL, fold


def test_names_are_unique() -> None:
    """No two families have a feature of one name."""
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == len(SESSION_FEATURES)


def test_there_are_enough_features() -> None:
    """25 features or more, from every family that the first model needs."""
    assert len(FEATURE_NAMES) >= 25
    assert {"timing", "items", "cart", "checkout", "pages", "context"} <= set(FEATURE_FAMILIES)


def test_a_vector_has_no_padding() -> None:
    """A record of the vector is exactly one float32 for each feature."""
    assert FEATURES.itemsize == 4 * len(FEATURE_NAMES)
    assert FEATURES.names == FEATURE_NAMES
    record = np.zeros(1, FEATURES)
    for place, name in enumerate(FEATURE_NAMES):
        record[0][name] = place
    assert record.view(np.float32).tolist() == list(range(len(FEATURE_NAMES)))


def test_every_feature_is_written() -> None:
    """Whatever the vector held before, describing a visit writes every value of it."""
    states = fold([an_event()])
    written = []
    for filling in (-7.25, 1.5):
        out = np.zeros(1, FEATURES)
        out.view(np.float32)[:] = filling
        session._describe_one(states, int(states[0]["last_time"]), NEUTRAL, out)
        written.append(out.tobytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("spec", SESSION_FEATURES, ids=lambda spec: spec.name)
def test_entries_say_what_they_mean(spec: object) -> None:
    """Each entry has a unit and a meaning, short enough for a table and a sentence."""
    entry = SESSION_FEATURES[FEATURE_NAMES.index(spec.name)]  # type: ignore[attr-defined]
    assert entry.name.isidentifier()
    assert entry.name == entry.name.lower()
    assert entry.unit
    assert 3 <= len(entry.meaning) <= 80
    assert not entry.meaning.endswith(".")


def test_fingerprints_follow_the_definition() -> None:
    """A raised version or another name changes a fingerprint; wording does not."""
    spec = SESSION_FEATURES[0]
    assert replace(spec, version=2).fingerprint != spec.fingerprint
    assert replace(spec, name="other").fingerprint != spec.fingerprint
    assert replace(spec, meaning="the same in other words").fingerprint == spec.fingerprint
    assert len(set(fingerprints().values())) == len(FEATURE_NAMES)


def test_a_vector_s_fingerprint_follows_its_order() -> None:
    """Two features in another order, or one fewer, are another vector."""
    names = list(FEATURE_NAMES)
    whole = vector_fingerprint(names)
    assert whole == vector_fingerprint(tuple(names))
    assert whole != vector_fingerprint(names[:-1])
    assert whole != vector_fingerprint([*names[:-2], names[-1], names[-2]])


def test_a_feature_s_family_is_known_by_its_name() -> None:
    """Each feature names the family whose module defines it; an unknown name is an error."""
    assert family_of("cart_value") == "cart"
    assert family_of("user_recency_days") == "user"
    with pytest.raises(KeyError, match="nonsense"):
        family_of("nonsense")


def test_each_model_has_its_features() -> None:
    """Conversion learns from all families but `customer`, churn from that one alone."""
    assert all(family_of(name) != "customer" for name in CONVERSION_FEATURES)
    rest = [name for name in FEATURE_NAMES if name not in CONVERSION_FEATURES]
    assert rest == [spec.name for spec in FEATURE_FAMILIES["customer"].FEATURES]
    assert list(CHURN_FEATURES) == rest


def test_what_only_tells_the_date_needs_enough_days() -> None:
    """Days to the next day of note are learnt from a year of data, popularity from eight weeks."""
    calendar = {"days_to_special_day"}
    popularity = {"item_popularity_7d", "max_item_popularity_7d", "category_popularity_7d"}
    assert learnable_features(365) == FEATURE_NAMES
    for days, left_out in ((364, calendar), (56, calendar), (55, calendar | popularity)):
        kept = tuple(name for name in FEATURE_NAMES if name not in left_out)
        assert learnable_features(days) == kept
