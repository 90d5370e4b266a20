"""Daily user snapshots: what was known of each visitor at the shop's midnights."""

from training.snapshots.build import SnapshotReport, build_user_snapshots

__all__ = ["SnapshotReport", "build_user_snapshots"]
