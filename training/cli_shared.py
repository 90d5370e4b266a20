"""What the offline commands have in common."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from micromoment.events.identity import IdEncoder
    from micromoment.stores.signing_keys import SigningKey

SignKey = Annotated[
    Path | None, typer.Option(help="Private key that signs the bundle (`bundle keygen`).")
]
IdKeys = Annotated[
    Path | None,
    typer.Option(
        "--id-keys",
        envvar="MICROMOMENT_ID_KEY_FILE",
        help="File of the keys that turn ids into pseudonyms, as servers have it; or the keys in"
        " MICROMOMENT_ID_KEYS.",
    ),
]
OriginalIdsFlag = Annotated[
    bool,
    typer.Option("--original-ids", help="Write ids as the events have them; needs the keys."),
]
KnownIds = Annotated[
    Path | None,
    typer.Option(help="File of the shop's own ids, one a line: written in place of pseudonyms."),
]
# Where servers write down whom they erased.
Features = Annotated[
    Path,
    typer.Option(help="Feature workspace; whom servers erased there goes from the events first."),
]
SessionPrefix = Annotated[str, typer.Option(help="In Redis, what the servers' keys begin with.")]


def signing_key(path: Path | None) -> SigningKey | None:
    """Read the key that a command was given. Raises `InvalidDataError` for what is none."""
    from micromoment.stores.signing_keys import load_signing_key  # noqa: PLC0415 - where it is used

    return None if path is None else load_signing_key(path)


def ids_of(id_keys: Path | None) -> IdEncoder:
    """Make the encoder of the keys that a command is given, in a file or in the environment.

    Raises `InvalidSettingError` for keys that can't be read.
    """
    from micromoment.stores.id_keys import id_encoder  # noqa: PLC0415 - where it is used

    return id_encoder(id_keys, os.environ.get("MICROMOMENT_ID_KEYS"))


def without_erased(events: Path, features: Path, id_keys: Path | None) -> None:
    """Erase from a folder of events whom servers erased, before anything reads it.

    For commands that read events and are no training, which does it itself. Events with analytics
    denied are left out where they are read. Raises `InvalidDataError` where that can't be done.
    """
    from training.privacy import apply_erasures  # noqa: PLC0415 - heavy imports

    apply_erasures(features, events, ids_of(id_keys))


def keys_of(id_keys: Path | None) -> str:
    """Give the keys that a command is given as the setting `id_keys` has them; empty for none.

    Raises `InvalidSettingError` for keys that can't be read.
    """
    ids_of(id_keys)
    if id_keys is None:
        return os.environ.get("MICROMOMENT_ID_KEYS", "")
    lines = map(str.strip, id_keys.read_text(encoding="utf-8").splitlines())
    return " ".join(line for line in lines if not line.startswith("#"))


def day_of(moment: datetime | None) -> date | None:
    """Give the day of a moment that the command line has parsed."""
    return None if moment is None else moment.date()


def store_or_default(store: Path | None) -> Path:
    """Give the folder of the bundle store; without one named, BentoML's own."""
    from micromoment.stores.bundles import default_bundle_store  # noqa: PLC0415 - where it is used

    return store or default_bundle_store()


def bundle_folder(tag: str, store: Path | None) -> Path:
    """Find a bundle by its tag. Raises `BundleError` where it isn't in the store."""
    from micromoment.stores.bundles import find_bundle  # noqa: PLC0415 - where it is used

    return find_bundle(store_or_default(store), tag)
