"""Decision points in serving: what came in several sessions is folded, each is described once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.events.record import RecordArray
from micromoment.features import reducer
from micromoment.features._compile import compiled
from micromoment.features.catalogue import FEATURE_NAMES, FEATURES
from micromoment.features.families import user
from micromoment.features.packed_tables import pack_tables, unpack_tables
from micromoment.features.state import STATE
from micromoment.features.tables import Tables
from micromoment.features.user_snapshot import USER_SNAPSHOT

# What is asked about a session, in columns.
FIRST_EVENT: Final = 0  # its events are those from first to end of all that are handed over
END_EVENT: Final = 1
FIRST_ITEM: Final = 2  # where the items of its events begin
AS_OF: Final = 3  # microseconds since 1970; -1: the last event's time
LOST: Final = 4  # earlier events are lost
USER_STATUS: Final = 5
N_ASKED: Final = 6

# What is told of it.
ACCEPTED: Final = 0  # events that are no duplicates
LAST_ACCEPTED: Final = 1  # the last one's place among the session's events, -1 for none
NOW: Final = 2  # time that the features are of
TOO_EARLY: Final = 3  # AS_OF is before the last event: there are no features
N_TOLD: Final = 4

# What is known of the visit besides features.
EVENTS_SEEN: Final = 0
CONVERTED: Final = 1
CART_FILLED: Final = 2
STAGE: Final = 3  # a `JourneyStage`
N_KNOWN: Final = 4


class PointFolder:
    """Folds and describes up to `size` sessions in one compiled pass. Belongs to one thread.

    Put m sessions into `states`, the rows of their users into `user_rows` and what is asked into
    `asked`, shape (size, N_ASKED); `run` changes `states` and fills `told`, shape (size, N_TOLD),
    `known`, shape (size, N_KNOWN), and `rows`, shape (size, n): the features at `index` of the
    catalogue, which has n places.
    """

    def __init__(
        self,
        size: int,
        tables: Tables,
        index: npt.NDArray[np.intp],
        *,
        expiry_us: int,
        skew_us: int,
    ) -> None:
        self.states = np.zeros(size, STATE)
        self.user_rows = np.zeros(size, USER_SNAPSHOT)
        self.asked = np.zeros((size, N_ASKED), np.int64)
        self.told = np.zeros((size, N_TOLD), np.int64)
        self.known = np.zeros((size, N_KNOWN), np.int64)
        self.rows = np.zeros((size, len(index)), np.float32)
        self._tables = pack_tables(tables)
        self._index = index.astype(np.int64)
        self._bounds = np.array([expiry_us, skew_us], np.int64)
        self._features = np.zeros(1, FEATURES)
        self._values = self._features.view(np.float32).reshape(len(FEATURE_NAMES))

    def run(self, sessions: int, events: RecordArray, items: RecordArray) -> None:
        """Fold and describe the first so many sessions."""
        _run(
            sessions, events, items, self.states, self.user_rows, self.asked, self.told,
            self.known, self.rows, self._tables.floats, self._tables.words, self._tables.layout,
            self._index, self._bounds, self._features, self._values,
        )  # fmt: skip


@compiled
def _run(
    sessions: int, events: Any, items: Any, states: Any, user_rows: Any, asked: Any, told: Any,
    known: Any, rows: Any, floats: Any, words: Any, layout: Any, index: Any, bounds: Any,
    features: Any, values: Any,
) -> None:  # fmt: skip
    tables = unpack_tables(floats, words, layout)
    for place in range(sessions):
        state = states[place]
        if asked[place, LOST]:
            state["state_lost"] = 1
        _fold(
            states[place : place + 1], events, items, user_rows[place], asked[place], told[place],
            bounds,
        )  # fmt: skip
        now = state["last_time"]
        as_of = asked[place, AS_OF]
        told[place, TOO_EARLY] = 0 <= as_of < now
        now = max(now, as_of)
        told[place, NOW] = now
        reducer.describe(state, now, tables, 0, features[0])
        known[place, EVENTS_SEEN] = state["events_seen"]
        known[place, CONVERTED] = state["converted"] > 0
        known[place, CART_FILLED] = state["cart_quantity"] > 0
        known[place, STAGE] = state["stage"]
        for column in range(len(index)):
            rows[place, column] = values[index[column]]


@compiled
def _fold(
    states: Any, events: Any, items: Any, user_row: Any, asked: Any, told: Any, bounds: Any
) -> None:
    told[ACCEPTED] = 0
    told[LAST_ACCEPTED] = -1
    for index in range(asked[FIRST_EVENT], asked[END_EVENT]):
        event = events[index]
        outcome = reducer.prepare(states, event, bounds[0], bounds[1])
        if outcome == reducer.DUPLICATE:
            continue
        told[ACCEPTED] += 1
        told[LAST_ACCEPTED] = index - asked[FIRST_EVENT]
        if outcome == reducer.TAKES_UP:
            user.take_up(states[0], user_row, asked[USER_STATUS], states[0]["last_time"])
        first = asked[FIRST_ITEM] + event["first_item"]
        reducer.fold(states[0], event, items[first : first + event["n_items"]])
