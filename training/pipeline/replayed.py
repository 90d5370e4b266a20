"""Days replayed for learning: snapshots, tables and decision points, as training makes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from micromoment.features.tables import Tables
from training.event_files import EventDays
from training.feature_store import FeatureWorkspace
from training.pipeline.features import build_history, temporary_workspace
from training.progress import Steps
from training.replay.partition import count_rows, partition_events
from training.replay.run import ReplayReport, ReplaySettings, replay_parts
from training.tables.fit import fit_tables


@dataclass(frozen=True)
class ReplayedDays:
    """The grouped events, the tables fitted on them, and the decision points' files."""

    workspace: FeatureWorkspace
    parts: list[Path]
    tables: Tables
    report: ReplayReport


def replay_for_learning(
    days: EventDays,
    settings: ReplaySettings,
    publish_lag: timedelta,
    scratch: Path,
    steps: Steps,
) -> ReplayedDays:
    """Replay the days in `scratch`, each visitor encoded by tables that have not seen them."""
    with steps.step("Cut user snapshots"):
        workspace = temporary_workspace(scratch / "features")
        last_cut = days.days[-1] + timedelta(days=1)
        history = build_history(days, workspace, settings, publish_lag, last_cut)
    with steps.step("Group events, fit tables, replay", count_rows(days)) as advance:
        parts = partition_events(days, scratch / "parts")
        tables = fit_tables(parts, settings)
        report = replay_parts(
            parts,
            scratch / "decisions",
            settings,
            history.rows_at,
            tables,
            only_eligible=True,
            cross_fit=True,
            advance=advance,
        )
    return ReplayedDays(workspace, parts, tables, report)
