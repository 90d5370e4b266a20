"""Score: events that a bundle was not trained on, as a server would have scored them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.events.identity import IdEncoder
from micromoment.events.vocabulary import JourneyStage
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.outcome import PointStates, outcomes_of
from training.event_files import EventDays, event_days
from training.original_ids import originals_for, renamed
from training.outputs import prepare_file
from training.pipeline.features import (
    WARM_UP_DAYS,
    UserHistory,
    build_history,
    temporary_workspace,
)
from training.pipeline.segments import segment_columns
from training.progress import Steps
from training.publishing.bundle import read_baseline
from training.replay.partition import count_rows, partition_events
from training.replay.run import ReplaySettings, replay_parts

Look = Callable[[pa.Table], None]

SCORE_COLUMNS: Final = (
    "session_id",
    "event_id",
    "event_time",
    "source_seq",
    "batch_last",
    "events_seen",
    "conversion",
    "abandonment",
    "converted",
    "churn",
    "expected_orders",
    "expected_value_micros",
    "segment",
    "journey_stage",
    "cluster",
    "audiences",
    "lifecycle",
)
_EVALUATED_COLUMNS: Final = (
    *SCORE_COLUMNS,
    "visitor_id",
    "epoch",
    "feature_time",
    "day",
    "after_order",
    "label",
    "baseline",
)


@dataclass(frozen=True)
class ScoreRequest:
    """What to score with which bundle. `history` is what users did before, if it is known.

    With keys in `ids` sessions are named by pseudonyms. `original_ids` names them as the events do
    where these have plain ids; `known_ids` is a file of plain ids, one a line, whose pseudonyms are
    written as these.
    """

    bundle: Path
    events: Path
    out: Path
    history: Path | None = None
    ids: IdEncoder | None = None
    workers: int = 2
    original_ids: bool = False
    known_ids: Path | None = None


def score_events(request: ScoreRequest, steps: Steps | None = None) -> int:
    """Write one row per event of `SCORE_COLUMNS` to `out`; gives their number.

    All rows of a batch carry the values at its end; values that do not apply are null. Raises
    `InvalidDataError` when a file can't be read or `out` can't be written.
    """
    originals = originals_for(request.ids, wanted=request.original_ids, known=request.known_ids)
    prepare_file(request.out)
    later = event_days(request.events)
    days = later
    if request.history is not None:
        # Of the history only what came before counts: it may hold the days to score as well.
        before = later.days[0] - timedelta(days=1)
        days = event_days(request.history).between(last=before).joined(later)
    bundle = load_bundle(request.bundle)
    table = score_days(
        bundle, days, later.days[0], ids=days.encoder(request.ids), workers=request.workers,
        steps=steps,
    )  # fmt: skip
    table = renamed(table.select(list(SCORE_COLUMNS)), ["session_id"], days, request.ids, originals)
    pq.write_table(table, request.out, compression="zstd")
    return len(table)


def score_days(
    bundle: LoadedBundle,
    days: EventDays,
    first_day: date,
    *,
    history: UserHistory | None = None,
    ids: IdEncoder | None = None,
    workers: int = 2,
    steps: Steps | None = None,
    look: Look | None = None,
) -> pa.Table:
    """Score the events from `first_day` on; earlier days are what users did before.

    `history` holds the users' snapshots of these days where they are cut already. Gives
    `SCORE_COLUMNS` and, for evaluation, `visitor_id`, `epoch`, `feature_time`, `day`,
    `after_order`, `label` and the logistic baseline's probability as `baseline`; in order of time,
    session and place. `look` is shown what `score_table` gives for each part of the visits, one
    part at a time.
    """
    steps = steps or Steps()
    settings = replay_settings(bundle, ids, workers)
    replayed = days.between(first=first_day - timedelta(days=WARM_UP_DAYS))
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        if history is None:
            with steps.step("Cut user snapshots and register features"):
                history = _history(bundle, days, replayed.days[0], settings, scratch / "users")
        with steps.step("Group events by session", count_rows(replayed)) as advance:
            parts = partition_events(
                replayed, scratch / "parts", wanted_from=first_day, advance=advance
            )
        with steps.step("Replay events", count_rows(replayed)) as advance:
            report = replay_parts(
                parts,
                scratch / "decisions",
                settings,
                history.rows_at,
                bundle.tables,
                only_wanted=False,
                advance=advance,
            )
        with steps.step("Score decision points"):
            tables = []
            for path in report.outputs:
                scored = score_table(bundle, pq.read_table(path))
                if look is not None:
                    look(scored)
                tables.append(scored.select(list(_EVALUATED_COLUMNS)))
    table = pa.concat_tables(tables)
    keys = [(name, "ascending") for name in ("event_time", "session_id", "source_seq")]
    return table.take(pc.sort_indices(table, keys))


def _history(
    bundle: LoadedBundle, days: EventDays, replayed: date, settings: ReplaySettings, folder: Path
) -> UserHistory:
    lag = timedelta(seconds=bundle.manifest.publish_lag_s)
    # The first replayed visits may begin before their day's own cut is published.
    first_cut = max(days.days[0], replayed - timedelta(days=1 + lag.days))
    workspace = temporary_workspace(folder)
    return build_history(days, workspace, settings, lag, days.days[-1], first_cut=first_cut)


def score_table(bundle: LoadedBundle, table: pa.Table) -> pa.Table:
    """Score decision rows of whole visits: adds the scores, keeps the rows that are wanted."""
    rows = feature_matrix(bundle, table)
    outcomes = outcomes_of(bundle, rows, _point_states(table))
    columns = {
        "conversion": pa.array([one.conversion for one in outcomes], pa.float64()),
        "abandonment": pa.array([one.abandonment for one in outcomes], pa.float64()),
        "churn": pa.array([one.churn for one in outcomes], pa.float64()),
        "expected_orders": pa.array(
            [one.coming.orders if one.coming else None for one in outcomes], pa.float64()
        ),
        "expected_value_micros": pa.array(
            [one.coming.value_micros if one.coming else None for one in outcomes], pa.int64()
        ),
        "lifecycle": pa.array([one.lifecycle.value for one in outcomes], pa.string()),
        "baseline": pa.array(_baseline(bundle, table), from_pandas=True),
        **segment_columns(bundle, table, outcomes),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    # A visit that crossed midnight brings what it was settled into from the day before.
    return table.filter(table["wanted"])


def _point_states(table: pa.Table) -> PointStates:
    stages = {stage.name.lower(): int(stage) for stage in JourneyStage}
    return PointStates(
        events_seen=table["events_seen"].to_numpy(),
        converted=table["converted"].to_numpy(),
        cart_filled=table["cart_filled"].to_numpy(),
        stage=np.array([stages[one] for one in table["journey_stage"].to_pylist()], np.uint8),
    )


def feature_matrix(bundle: LoadedBundle, table: pa.Table) -> npt.NDArray[np.float32]:
    """Take the bundle's features out of decision rows, shape (n, n_features)."""
    matrix = np.empty((len(table), len(bundle.feature_names)), np.float32)
    for place, name in enumerate(bundle.feature_names):
        matrix[:, place] = table[name].to_numpy()
    return matrix


def _baseline(bundle: LoadedBundle, table: pa.Table) -> npt.NDArray[np.float64]:
    baseline = read_baseline(bundle.path)
    if baseline is None:
        return np.full(len(table), np.nan)
    counts = np.stack([table[name].to_numpy() for name in baseline.features], axis=1)
    scores = baseline.probabilities(counts)
    scores[table["converted"].to_numpy()] = np.nan
    return scores


def replay_settings(bundle: LoadedBundle, ids: IdEncoder | None, workers: int) -> ReplaySettings:
    """Fold events as the bundle was trained to."""
    manifest = bundle.manifest
    return ReplaySettings(
        bundle.shop, manifest.session_expiry_s, manifest.max_clock_skew_s, ids, workers
    )
