"""The segments of the bundle that a new one takes over from: what ids and bits meant there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from micromoment.errors import BundleError, InvalidDataError
from micromoment.scoring.audiences import AudienceFile
from micromoment.scoring.clusters import ClusterFile
from micromoment.scoring.manifest import read_manifest
from micromoment.stores.bundles import LATEST, find_bundle

_File = TypeVar("_File", bound=BaseModel)


@dataclass(frozen=True)
class PreviousSegments:
    """Clusters and audiences of the bundle before; None where there are none to be read."""

    tag: str = ""
    clusters: ClusterFile | None = None
    audiences: AudienceFile | None = None


def previous_segments(store: Path, name: str, pointer: str = LATEST) -> PreviousSegments:
    """Read them from the latest bundle of this name, or from the one that another pointer names.

    A bundle that can't be read counts as none.
    """
    try:
        folder = find_bundle(store, f"{name}:{pointer}")
        manifest = read_manifest(folder)
    except BundleError:
        return PreviousSegments()
    return PreviousSegments(
        manifest.tag,
        _read(folder, manifest.clusters, ClusterFile),
        _read(folder, manifest.audiences, AudienceFile),
    )


def check_meanings(previous: PreviousSegments, audiences: AudienceFile, source: Path) -> None:
    """Raise `InvalidDataError` where a bit or an id of the bundle before means another audience."""
    if previous.audiences is None:
        return
    for before in previous.audiences.audiences:
        for one in audiences.audiences:
            if (one.bit == before.bit) != (one.id == before.id):
                raise InvalidDataError(
                    str(source),
                    f"audience {one.id} has the bit {one.bit}, but in {previous.tag} bit "
                    f"{before.bit} is {before.id}: bits and ids keep their meaning; take a free "
                    "bit or another name for the bundle",
                )


def _read(folder: Path, file: str | None, kind: type[_File]) -> _File | None:
    if file is None:
        return None
    try:
        return kind.model_validate_json((folder / file).read_bytes())
    except (OSError, ValidationError):
        return None
