"""A bundle's manifest: what it holds, for which features, made from what.

The version is a digest of the content: two trainings on the same data give the same one. No time,
user or place is part of it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from micromoment.errors import BundleError
from micromoment.scoring.records import FrozenRecord

MANIFEST_FILE: Final = "manifest.json"
# Who vouches for the manifest; no part of the content, so that it changes no version.
SIGNATURES_FILE: Final = "signatures.json"
FORMAT: Final = 3
NAME_PATTERN: Final = "^[a-z0-9][a-z0-9_.-]{0,62}$"
_VERSION_LENGTH = 16
WEEKS: Final = 53  # of a year, the last one short

ChurnTarget = Literal["purchase", "activity"]


class _Format(BaseModel):
    # Read before all else: another format has other fields.
    format: int


class FileDigest(FrozenRecord):
    """Size in bytes and SHA-256 of one file of the bundle."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ShopRecord(FrozenRecord):
    """Currency and time zone that the features were computed with."""

    currency: str
    time_zone: str


class FeatureRecord(FrozenRecord):
    """A feature of the models' input, in order, with its definition's fingerprint."""

    name: str
    fingerprint: str


class ModelRecord(FrozenRecord):
    """A model file with its calibrator; `features` are its input, in order."""

    file: str
    features: tuple[str, ...]
    slope: float
    intercept: float


class ConversionRecord(ModelRecord):
    """The conversion model, with its calibration error by number of events seen.

    `slope` and `intercept` are those after one event, the deep ones those of a deep visit.
    """

    deep_slope: float
    deep_intercept: float
    calibration_error: dict[int, float]


class OrderValueRecord(FrozenRecord):
    """A customer's expected order value: their mean, drawn to the shop's as by so many orders."""

    mean: float = Field(gt=0)  # the shop's currency
    weight: float = Field(ge=0)  # orders


class OrdersRecord(FrozenRecord):
    """BG/NBD of the shop's customers, in days; what the numbers do is said in `scoring.orders`."""

    r: float = Field(gt=0)
    alpha: float = Field(gt=0)
    a: float = Field(gt=0)
    b: float = Field(gt=0)
    season: tuple[float, ...] = Field(min_length=WEEKS, max_length=WEEKS)
    share: float = Field(ge=0, le=1)
    typical: float  # mean log-odds of no order within the horizon, of the shop's customers
    repeats: float = Field(ge=0)
    value: OrderValueRecord | None

    @field_validator("season")
    @classmethod
    def _above_zero(cls, season: tuple[float, ...]) -> tuple[float, ...]:
        if min(season) <= 0:
            raise ValueError("a week's season is not above 0")
        return season


class ChurnRecord(ModelRecord):
    """The churn model and what it predicts: no order, or no visit, within so many days.

    `orders` is there where the target is `purchase`.
    """

    target: ChurnTarget
    horizon_days: int = Field(gt=0)
    orders: OrdersRecord | None


class LifecycleRecord(FrozenRecord):
    """Days that tell where a visitor stands; what they mean is said in `scoring.lifecycle`."""

    new_days: float = Field(7.0, gt=0)
    away_days: float = Field(28.0, gt=0)
    overdue_ratio: float = Field(1.5, gt=0)


class Manifest(FrozenRecord):
    """Everything that is known of a bundle besides its files' content.

    A `starter` was made without any of the shop's data: it is there to begin with.
    """

    format: int
    name: str = Field(pattern=NAME_PATTERN)
    starter: bool = False
    shop: ShopRecord
    session_expiry_s: int = Field(gt=0)
    max_clock_skew_s: int = Field(ge=0)
    publish_lag_s: int = Field(ge=0)
    features: tuple[FeatureRecord, ...]
    tables: dict[str, str]
    conversion: ConversionRecord | None
    churn: ChurnRecord | None
    clusters: str | None  # files
    audiences: str | None
    lifecycle: LifecycleRecord
    # Why the bundle has no model for `conversion`, `churn` or `clusters`.
    absent: dict[str, str]
    training: dict[str, Any]
    files: dict[str, FileDigest]

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileDigest]) -> dict[str, FileDigest]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError("a file lies outside the bundle")
        return files

    @property
    def digest(self) -> str:
        """SHA-256 of the whole manifest, and so of every file, in 64 hexadecimal characters."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def version(self) -> str:
        """The first 16 characters of the digest."""
        return self.digest[:_VERSION_LENGTH]

    @property
    def tag(self) -> str:
        """The bundle's full name, `name:version`."""
        return f"{self.name}:{self.version}"


def digest_file(path: Path) -> FileDigest:
    """Measure a file."""
    return _digest(path.read_bytes())


def read_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """Read a file of a bundle; what it gives is what was checked.

    Raises `BundleError` when it is missing or differs from what the manifest says.
    """
    path, expected = folder / name, manifest.files[name]
    if not path.is_file():
        raise BundleError(manifest.tag, f"{name} is missing")
    # The size first: nobody reads what is far too long.
    if path.stat().st_size == expected.size:
        content = path.read_bytes()
        if _digest(content) == expected:
            return content
    raise BundleError(manifest.tag, f"{name} is damaged: size or SHA-256 differ")


def _digest(content: bytes) -> FileDigest:
    return FileDigest(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle's folder. Raises `BundleError` when it isn't one."""
    try:
        content = (folder / MANIFEST_FILE).read_bytes()
    except OSError as error:
        raise BundleError(folder.name, f"{MANIFEST_FILE} can't be read: {error.strerror}") from None
    try:
        _check_format(folder, _Format.model_validate_json(content).format)
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        place = f"{MANIFEST_FILE}, {place}" if place else MANIFEST_FILE
        raise BundleError(folder.name, f"{place}: {first['msg']}") from None


def _check_format(folder: Path, number: int) -> None:
    if number != FORMAT:
        raise BundleError(folder.name, f"format {number}, this code reads {FORMAT}")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a bundle's folder."""
    text = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, indent=1)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
