"""Every feature by name, in the order of the feature vector, and digests of the definitions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from micromoment.features.families import (
    acts,
    cart,
    checkout,
    context,
    customer,
    encodings,
    items,
    pages,
    popularity,
    sequence,
    timing,
    user,
)
from micromoment.features.spec import FeatureSpec

FEATURE_FAMILIES: Final = {
    "timing": timing,
    "items": items,
    "cart": cart,
    "checkout": checkout,
    "pages": pages,
    "acts": acts,
    "context": context,
    "encodings": encodings,
    "popularity": popularity,
    "sequence": sequence,
    "user": user,
    "customer": customer,
}

SESSION_FEATURES: Final[tuple[FeatureSpec, ...]] = tuple(
    spec for family in FEATURE_FAMILIES.values() for spec in family.FEATURES
)
FEATURE_NAMES: Final = tuple(spec.name for spec in SESSION_FEATURES)

# What the conversion model learns from: `user` and the visit say all that `customer` does.
CONVERSION_FEATURES: Final[tuple[str, ...]] = tuple(
    spec.name
    for name, family in FEATURE_FAMILIES.items()
    if name != "customer"
    for spec in family.FEATURES
)

# What the churn model learns from: features that mean the same at a cut, outside any visit, and in
# one. Those of the visit alone (device, source, its counts) would be constant at all cuts.
CHURN_FEATURES: Final[tuple[str, ...]] = tuple(spec.name for spec in customer.FEATURES)

# One vector as a record, so that families write features by name; its bytes are a float32 row.
FEATURES: Final[np.dtype[Any]] = np.dtype([(name, "f4") for name in FEATURE_NAMES])


def family_of(feature: str) -> str:
    """Name the family of a feature. Raises `KeyError` when there is none of that name."""
    for name, family in FEATURE_FAMILIES.items():
        if any(spec.name == feature for spec in family.FEATURES):
            return name
    raise KeyError(feature)


def learnable_features(days: int) -> tuple[str, ...]:
    """Name the features that a model may learn from so many days of data, in the vector's order."""
    return tuple(spec.name for spec in SESSION_FEATURES if spec.min_days <= days)


def fingerprints() -> dict[str, str]:
    """Give each feature's fingerprint by name."""
    return {spec.name: spec.fingerprint for spec in SESSION_FEATURES}


def vector_fingerprint(names: Iterable[str]) -> str:
    """Digest the definitions of a feature vector in its order."""
    known = fingerprints()
    text = "\n".join(f"{name}:{known[name]}" for name in names)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
