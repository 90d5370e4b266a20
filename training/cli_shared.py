"""What the offline commands have in common."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

SessionPrefix = Annotated[str, typer.Option(help="In Redis, what the servers' keys begin with.")]


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
