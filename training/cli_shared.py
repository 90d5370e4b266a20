"""What the offline commands have in common."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from micromoment.stores.signing_keys import SigningKey

SignKey = Annotated[
    Path | None, typer.Option(help="Private key that signs the bundle (`bundle keygen`).")
]
SessionPrefix = Annotated[str, typer.Option(help="In Redis, what the servers' keys begin with.")]


def signing_key(path: Path | None) -> SigningKey | None:
    """Read the key that a command was given. Raises `InvalidDataError` for what is none."""
    from micromoment.stores.signing_keys import load_signing_key  # noqa: PLC0415 - where it is used

    return None if path is None else load_signing_key(path)


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
