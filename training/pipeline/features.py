"""Events to decision rows: user snapshots, Feast join, replay. Shared by train, score, evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from training.event_files import EventDays
from training.feature_store import user_rows_at
from training.replay.run import ReplaySettings, UserRows
from training.snapshots import build_user_snapshots

if TYPE_CHECKING:
    import pyarrow as pa

    from training.feature_store import FeatureWorkspace

# A visit may cross midnight: the day before is replayed for it, its own rows left out.
WARM_UP_DAYS = 1


@dataclass(frozen=True)
class UserHistory:
    """User snapshots in a feature workspace, ready to be joined."""

    workspace: FeatureWorkspace

    def rows_at(self, take_ups: pa.Table) -> UserRows:
        """Find the snapshot that was published when each visit took it up, in order."""
        return user_rows_at(self.workspace, take_ups)


def build_history(
    days: EventDays,
    workspace: FeatureWorkspace,
    settings: ReplaySettings,
    publish_lag: timedelta,
    last_cut: date,
    *,
    first_cut: date | None = None,
) -> UserHistory:
    """Cut the snapshots of all days' midnights up to `last_cut` and register them with Feast.

    A visit takes up the snapshot of its day or, shortly after midnight, of the day before: where
    only later visits matter, `first_cut` spares the cuts before it.
    """
    build_user_snapshots(
        list(days.files.values()),
        workspace.snapshots,
        shop=settings.shop,
        first_day=first_cut or days.days[0],
        last_day=last_cut,
        publish_lag=publish_lag,
        ids=settings.ids,
    )
    return UserHistory(workspace)


def temporary_workspace(folder: Path) -> FeatureWorkspace:
    """Make a feature workspace below `folder`, for work that leaves nothing behind."""
    from training.feature_store import FeatureWorkspace, apply  # noqa: PLC0415 - imports feast

    workspace = FeatureWorkspace(folder)
    apply(workspace)
    return workspace
