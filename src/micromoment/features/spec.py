"""What a feature is: one entry of the catalogue."""

from __future__ import annotations

import hashlib
from dataclasses import KW_ONLY, dataclass

from micromoment.features.wording import Wording


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One float32 feature. `missing` says when it is NaN; empty means never.

    Raise `version` when the definition changes: bundles trained on the old one are then refused.
    From fewer than `min_days` days a model doesn't learn it: there it could only tell the date.

    `group` is the stable id of what it says the same about as other features: their contributions
    to a score are one reason. `says` words its value.
    """

    name: str
    unit: str
    meaning: str
    missing: str = ""
    version: int = 1
    min_days: int = 0
    _: KW_ONLY
    group: str
    says: Wording

    @property
    def fingerprint(self) -> str:
        """Digest of name, type and definition version."""
        text = f"{self.name}|float32|{self.version}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]
