"""What the law lets people ask of the files that training keeps."""

from __future__ import annotations

from training.privacy.erase import ErasureReport, OfflinePlaces, apply_erasures, erase_people
from training.privacy.expire import ExpiryReport, expire
from training.privacy.export import export_people

__all__ = [
    "ErasureReport",
    "ExpiryReport",
    "OfflinePlaces",
    "apply_erasures",
    "erase_people",
    "expire",
    "export_people",
]
