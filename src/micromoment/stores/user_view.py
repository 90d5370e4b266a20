"""The user view: what is kept of a visitor in Feast, the same for training and for serving."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from micromoment.features.user_snapshot import SNAPSHOT_COLUMNS

if TYPE_CHECKING:
    from feast import Entity, FeatureView, FileSource

USER_VIEW: Final = "user_snapshot"
VISITOR_KEY: Final = "visitor_id"

# Feast's expiry is switched off: it holds offline only, where it would turn visitors who were away
# for long into unknown ones, and online it does nothing. A row's age is judged when it is used.
NO_EXPIRY: Final = timedelta(0)


def visitor_entity() -> Entity:
    """Make the entity of a visitor, keyed by the encoded visitor id."""
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    return feast.Entity(
        name="visitor",
        join_keys=[VISITOR_KEY],
        value_type=feast.ValueType.STRING,
        description="A user where known, else a browser; the id is encoded",
    )


def user_view(source: FileSource | None = None) -> FeatureView:
    """Make the view of `SNAPSHOT_COLUMNS`; reading it online takes no source."""
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    return feast.FeatureView(
        name=USER_VIEW,
        entities=[visitor_entity()],
        ttl=NO_EXPIRY,
        schema=[
            feast.Field(
                name=column.name,
                dtype=feast.Int64,
                description=column.meaning,
                tags={"unit": column.unit},
            )
            for column in SNAPSHOT_COLUMNS
        ],
        source=source,
        description="A visitor as of the last published midnight of the shop",
    )
