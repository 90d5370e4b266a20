"""What Feast knows of a workspace: entities, sources, views and one service per model.

They are made by a function, not at import, because a process may use several workspaces; schemas
come from the feature catalogue. `feature_repo/` hands the same objects to the `feast` command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.features.spec import FeatureSpec
from micromoment.stores.user_view import NO_EXPIRY, user_view, visitor_entity
from training.feature_store.workspace import FeatureWorkspace
from training.snapshots.rows import AVAILABLE_AT, CREATED_AT

if TYPE_CHECKING:
    from feast import Entity, FeatureService, FeatureView, Field, FileSource

DECISION_KEY: Final = "decision_id"
DECISION_TIME: Final = "feature_time"
SESSION_VIEW: Final = "session_features"
CONVERSION_SERVICE: Final = "conversion"
USER_SERVICE: Final = "user_snapshot"


@dataclass(frozen=True, slots=True)
class Definitions:
    """Feast's objects of one workspace."""

    visitor: Entity
    decision: Entity
    user_source: FileSource
    decision_source: FileSource
    user_view: FeatureView
    session_view: FeatureView
    conversion: FeatureService
    user_snapshot: FeatureService

    @property
    def all(self) -> list[Any]:
        """Everything that is registered, in the order of dependence."""
        return [
            self.visitor,
            self.decision,
            self.user_source,
            self.decision_source,
            self.user_view,
            self.session_view,
            self.conversion,
            self.user_snapshot,
        ]


def define(workspace: FeatureWorkspace) -> Definitions:
    """Make the objects of a workspace."""
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    decision = feast.Entity(
        name="decision",
        join_keys=[DECISION_KEY],
        value_type=feast.ValueType.STRING,
        description="A moment of a visit at which a score can be asked for",
    )
    user_source = feast.FileSource(
        name="user_snapshots",
        path=str(workspace.snapshots),
        file_format=feast.ParquetFormat(),
        timestamp_field=AVAILABLE_AT,
        created_timestamp_column=CREATED_AT,
        description="Daily user snapshots, a row from when it was published",
    )
    decision_source = feast.FileSource(
        name="decisions",
        path=str(workspace.decisions),
        file_format=feast.ParquetFormat(),
        timestamp_field=DECISION_TIME,
        description="Feature vectors that the replay wrote, one row per decision point",
    )
    users = user_view(user_source)
    sessions = feast.FeatureView(
        name=SESSION_VIEW,
        entities=[decision],
        ttl=NO_EXPIRY,
        schema=[_field(spec) for spec in SESSION_FEATURES],
        source=decision_source,
        online=False,  # serving computes these from the visit itself
        description="The feature vector of a visit so far",
    )
    return Definitions(
        visitor=visitor_entity(),
        decision=decision,
        user_source=user_source,
        decision_source=decision_source,
        user_view=users,
        session_view=sessions,
        conversion=feast.FeatureService(name=CONVERSION_SERVICE, features=[sessions, users]),
        user_snapshot=feast.FeatureService(name=USER_SERVICE, features=[users]),
    )


def _field(spec: FeatureSpec) -> Field:
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    return feast.Field(
        name=spec.name,
        dtype=feast.Float32,
        description=spec.meaning,
        tags={"unit": spec.unit, "missing": spec.missing, "fingerprint": spec.fingerprint},
    )
