"""Renew what a server reads of users, without training anything."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from training.event_files import EventDays
from training.feature_store import FeatureWorkspace, apply, materialize
from training.outputs import make_folder
from training.pipeline.features import build_history
from training.replay.run import ReplaySettings


def renew_users(
    days: EventDays, workspace: Path, settings: ReplaySettings, publish_lag: timedelta
) -> int:
    """Put the users' features as of the end of the last day into the workspace's online store.

    One cut holds everybody, so no earlier one is needed. Gives the number of visitors.
    """
    make_folder(workspace)
    place = FeatureWorkspace(workspace)
    morning = days.days[-1] + timedelta(days=1)
    build_history(days, place, settings, publish_lag, morning, first_cut=morning)
    apply(place)
    cut = datetime.combine(morning, time(), settings.shop.zone).astimezone(UTC)
    return materialize(place, cut + publish_lag)
