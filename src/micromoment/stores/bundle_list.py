"""What the store holds, as told by each bundle's manifest and measurements; nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import nan
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from micromoment.errors import BundleError
from micromoment.scoring.manifest import MANIFEST_FILE, Manifest
from micromoment.stores.bundle_signatures import BundleTrust, Signer
from micromoment.stores.bundles import find_bundle, is_tag, pointers_of, tag_of
from micromoment.stores.loading import ANYBODY, read_stored_manifest

_METRICS_FILE: Final = "metrics.json"


@dataclass(frozen=True, slots=True)
class Quality:
    """The conversion model on held-out days, after so many events; None is not measured."""

    events_seen: int
    visits: int
    buyers: int
    calibration_error: float
    pr_auc: float | None
    roc_auc: float | None
    lift_at_10: float | None


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """One bundle of the store. Without a manifest, `problem` says why.

    `added_s` is when it came into the store, in seconds since 1970.
    """

    tag: str
    folder: Path
    added_s: float
    pointers: tuple[str, ...]
    manifest: Manifest | None
    problem: str
    quality: tuple[Quality, ...]
    signers: tuple[Signer, ...]

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.manifest.files.values()) if self.manifest else 0


def stored_bundles(
    store: Path, name: str = "", limit: int | None = None, trust: BundleTrust = ANYBODY
) -> list[StoredBundle]:
    """Give the bundles of the store, or those of one name, that were added last first."""
    found = sorted(_folders(store, name), key=lambda pair: (-pair[1], pair[0]))
    names = {folder.parent.name for folder, _ in found}
    pointers = {one: pointers_of(store, one) for one in names}
    return [
        _describe(folder, at, pointers[folder.parent.name], trust) for folder, at in found[:limit]
    ]


def stored_bundle(store: Path, tag: str, trust: BundleTrust = ANYBODY) -> StoredBundle:
    """Give one bundle. Raises `BundleNotFoundError` when the store doesn't hold it."""
    folder = find_bundle(store, tag)
    return _describe(folder, _added(folder), pointers_of(store, folder.parent.name), trust)


def trained_days(manifest: Manifest) -> tuple[date, date] | None:
    """Give the first and last day that a bundle was trained on; None for a starter."""
    training = manifest.training
    try:
        return date.fromisoformat(training["first_day"]), date.fromisoformat(training["last_day"])
    except (KeyError, TypeError, ValueError):
        return None


def trained_until(manifest: Manifest) -> float:
    """Give the end of the last day that a bundle was trained on, in seconds since 1970; or NaN."""
    days = trained_days(manifest)
    if days is None:
        return nan
    midnight = datetime.combine(days[1] + timedelta(days=1), datetime.min.time())
    try:
        return midnight.replace(tzinfo=ZoneInfo(manifest.shop.time_zone)).timestamp()
    except (ZoneInfoNotFoundError, ValueError):
        return midnight.replace(tzinfo=UTC).timestamp()


def _folders(store: Path, name: str) -> Iterator[tuple[Path, float]]:
    with suppress(FileNotFoundError, NotADirectoryError):
        names = [store / name] if name else sorted(store.iterdir())
        for one in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                for folder in one.iterdir():
                    if is_tag(tag_of(folder)) and folder.is_dir():
                        yield folder, _added(folder)


def _added(folder: Path) -> float:
    for path in (folder / MANIFEST_FILE, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _describe(
    folder: Path, added_s: float, pointers: dict[str, str], trust: BundleTrust
) -> StoredBundle:
    named_by = tuple(pointer for pointer, version in pointers.items() if version == folder.name)
    try:
        manifest = read_stored_manifest(folder)
    except BundleError as error:
        return StoredBundle(tag_of(folder), folder, added_s, named_by, None, error.detail, (), ())
    quality = _quality(folder, manifest)
    signers = trust.signers(folder, manifest)
    return StoredBundle(tag_of(folder), folder, added_s, named_by, manifest, "", quality, signers)


def _quality(folder: Path, manifest: Manifest) -> tuple[Quality, ...]:
    """Read what training measured; no server needs it, so that a damaged file is none."""
    if manifest.conversion is None:
        return ()
    try:
        measured = json.loads((folder / _METRICS_FILE).read_bytes())["calibration_days"]
    except (OSError, ValueError, KeyError, TypeError):
        measured = {}
    errors = manifest.conversion.calibration_error
    return tuple(_quality_at(k, errors[k], measured) for k in sorted(errors))


def _quality_at(events_seen: int, error: float, measured: Any) -> Quality:  # noqa: ANN401 - JSON
    try:
        row = measured[str(events_seen)]
        model = row["model"]
        return Quality(
            events_seen,
            int(row["n"]),
            int(row["buyers"]),
            error,
            _number(model, "pr_auc"),
            _number(model, "roc_auc"),
            _number(model, "lift_at_10"),
        )
    except (KeyError, TypeError, ValueError):
        return Quality(events_seen, 0, 0, error, None, None, None)


def _number(values: Any, name: str) -> float | None:  # noqa: ANN401 - JSON
    value = values.get(name)
    return float(value) if value is not None else None
