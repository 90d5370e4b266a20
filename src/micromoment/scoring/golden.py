"""Golden sessions: events with the features and scores that they must give, kept in the bundle.

A server scores them before it serves: the same bits in one image, within 1e-9 elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import BundleError, InvalidDataError
from micromoment.events.arrow_codec import events_from_arrow
from micromoment.events.record import EventBatch, RecordArray
from micromoment.features.session import describe_session, fold_batch
from micromoment.features.state import new_state
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserLookup, UserStatus
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.scoring.manifest import read_file
from micromoment.scoring.outcome import outcomes_of, point_states

EVENTS_FILE: Final = "golden/events.parquet"
USERS_FILE: Final = "golden/users.parquet"
EXPECTED_FILE: Final = "golden/expected.parquet"
TOLERANCE: Final = 1e-9

_COLUMNS: Final = {
    "session_id": pa.string(),
    "event_id": pa.string(),
    "conversion": pa.float64(),
    "churn": pa.float64(),
    "expected_orders": pa.float64(),
    "expected_value": pa.float64(),
    "cluster": pa.int64(),
    "audiences": pa.int64(),
    "lifecycle": pa.int64(),
}
_LIFECYCLES: Final = list(Lifecycle)


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """How many answers were compared and how many differed in a bit, though within tolerance."""

    answers: int
    inexact: int


def score_golden(bundle: LoadedBundle, events: pa.Table, users: pa.Table) -> pa.Table:
    """Score sessions event by event: ids, what `outcome` says of each point, features.

    `users` holds one row per session: `session_id`, `status` and the `USER_SNAPSHOT` columns.
    Raises `InvalidDataError` when a column or a session's user row is missing.
    """
    lookups = _lookups(users)
    columns: dict[str, list[object]] = {name: [] for name in _COLUMNS}
    rows = []
    states = []
    batch = events_from_arrow(events, bundle.shop)
    places = _places_by_session(events)
    if not places.keys() <= lookups.keys():
        raise InvalidDataError("golden users", "a session has no row")
    for session_id, indices in places.items():
        state = new_state()
        for index in indices:
            one = EventBatch(batch.events[index : index + 1], batch.items)
            fold_batch(
                state,
                one,
                lookups[session_id],
                bundle.session_expiry_us,
                bundle.max_clock_skew_us,
            )
            features = describe_session(state, int(state[0]["last_time"]), bundle.tables)
            rows.append(bundle.model_input(features)[0])
            states.append(state.copy())
            columns["session_id"].append(session_id)
            columns["event_id"].append(events["event_id"][index].as_py())
    matrix = np.array(rows, np.float32).reshape(len(rows), len(bundle.feature_names))
    known = point_states(np.concatenate(states) if states else new_state()[:0])
    for outcome in outcomes_of(bundle, matrix, known):
        columns["conversion"].append(outcome.conversion)
        columns["churn"].append(outcome.churn)
        coming = outcome.coming
        columns["expected_orders"].append(coming.orders if coming else None)
        columns["expected_value"].append(coming.value if coming else None)
        columns["cluster"].append(outcome.cluster)
        columns["audiences"].append(outcome.audiences)
        columns["lifecycle"].append(_LIFECYCLES.index(outcome.lifecycle))
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in _COLUMNS.items()})
    for place, name in enumerate(bundle.feature_names):
        table = table.append_column(f"feature.{name}", pa.array(matrix[:, place], pa.float32()))
    return table


def check_golden(bundle: LoadedBundle) -> GoldenReport:
    """Score the bundle's golden sessions. Raises `BundleError` naming the first wrong answer."""
    events, users, expected = (
        _read_table(bundle, name) for name in (EVENTS_FILE, USERS_FILE, EXPECTED_FILE)
    )
    try:
        answers = score_golden(bundle, events, users)
    except InvalidDataError as error:
        raise BundleError(bundle.tag, f"golden sessions can't be scored: {error}") from None
    if answers.column_names != expected.column_names or len(answers) != len(expected):
        raise BundleError(bundle.tag, "golden sessions have other columns or rows than expected")
    inexact = 0
    for name in answers.column_names[2:]:
        got = answers[name].to_numpy()
        want = expected[name].to_numpy()
        wrong = ~np.isclose(got, want, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise BundleError(bundle.tag, f"golden answer {row}: {name} differs")
        inexact += _count_inexact(got, want)
    return GoldenReport(len(answers), inexact)


def _read_table(bundle: LoadedBundle, name: str) -> pa.Table:
    if name not in bundle.manifest.files:
        raise BundleError(bundle.tag, f"{name} is needed but not listed among the files")
    return pq.read_table(pa.BufferReader(read_file(bundle.path, bundle.manifest, name)))


def _count_inexact(got: RecordArray, want: RecordArray) -> int:
    bits = np.dtype(f"u{got.dtype.itemsize}")
    return int((got.view(bits) != want.view(bits)).sum())


def _places_by_session(events: pa.Table) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for index, session_id in enumerate(events["session_id"].to_pylist()):
        places.setdefault(session_id, []).append(index)
    return places


def _lookups(users: pa.Table) -> dict[str, UserLookup]:
    found = {}
    for row in users.to_pylist():
        record = np.zeros(1, USER_SNAPSHOT)
        for name in USER_SNAPSHOT.names or ():
            record[0][name] = row[name]
        found[row["session_id"]] = UserLookup(UserStatus(row["status"]), record)
    return found
