"""Where bundles are found: the folder of a BentoML model store, read without importing bentoml.

The store keeps `<store>/<name>/<version>/` and two pointers: `<store>/<name>/latest` holds the
version that was added last, `<store>/<name>/serving` the one that was promoted last.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from micromoment.errors import BundleError, BundleNotFoundError

LATEST: Final = "latest"
SERVING: Final = "serving"
_ADVICE: Final = {LATEST: "train", SERVING: "promote"}
_TAG: Final = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9_.-]*):(?P<version>[A-Za-z0-9][A-Za-z0-9_.-]*)$"
)


def default_bundle_store() -> Path:
    """Give BentoML's own model store: `$BENTOML_HOME/models`, else `~/bentoml/models`."""
    home = os.environ.get("BENTOML_HOME")
    return (Path(home) if home else Path.home() / "bentoml") / "models"


def find_bundle(store: Path, tag: str) -> Path:
    """Find a bundle's folder by `name:version`, where version may be `latest` or `serving`.

    Raises `BundleError` when the tag is malformed, `BundleNotFoundError` when the store doesn't
    hold it.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        raise BundleError(tag, "a tag has the form name:version")
    name, version = match["name"], match["version"]
    if version in _ADVICE:
        version = _pointed_version(store, name, version)
    folder = store / name / version
    if not folder.is_dir():
        raise BundleNotFoundError(
            tag, f"isn't in the store {store}; `micromoment train` puts one there"
        )
    return folder


def is_tag(text: str) -> bool:
    """Tell whether a text has the form name:version."""
    return _TAG.fullmatch(text) is not None


def is_pointer(tag: str) -> bool:
    """Tell whether a tag's version is `latest` or `serving`, which the store says the rest of."""
    return tag.partition(":")[2] in _ADVICE


def tag_of(folder: Path) -> str:
    """Give the full name of the bundle in a folder of the store."""
    return f"{folder.parent.name}:{folder.name}"


def pointers_of(store: Path, name: str) -> dict[str, str]:
    """Give the versions that a name's pointers name, by pointer; one that can't be read is left."""
    found = {}
    for pointer in (LATEST, SERVING):
        with suppress(BundleError):
            found[pointer] = _pointed_version(store, name, pointer)
    return found


def _pointed_version(store: Path, name: str, pointer: str) -> str:
    tag = f"{name}:{pointer}"
    try:
        version = (store / name / pointer).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise BundleNotFoundError(
            tag, f"isn't in the store {store}; `micromoment {_ADVICE[pointer]}` puts one there"
        ) from None
    if not is_tag(f"{name}:{version}"):
        raise BundleNotFoundError(tag, f"what the store {store} says it names is no version")
    return version
