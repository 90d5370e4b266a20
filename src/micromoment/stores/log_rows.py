"""What the event log keeps of one call: a row of a few columns and the call itself.

The call is a serialized `micromoment.v1.LoggedCall`. What does not change from call to call while a
bundle answers is serialized once and put before the rest: protobuf reads both as one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from micromoment.errors import InvalidSettingError
from micromoment.events.hashing import hash_id
from micromoment.events.proto_codec import OutsideContractError, events_from_proto
from micromoment.events.record import RecordArray
from micromoment.events.shop import Shop
from micromoment.features.families import assignment
from micromoment.features.state import STATE
from micromoment.features.user_snapshot import (
    USER_SNAPSHOT,
    UserLookup,
    UserStatus,
    no_lookup,
)
from micromoment.scoring.calls import ScoreCall, SessionKey
from micromoment.v1 import log_pb2 as pb

# The fields of a state that scoring writes and no event folds: places and sizes.
_STANDING: Final = [
    (STATE.fields[name][1], STATE.fields[name][0].itemsize)  # type: ignore[index] # it has fields
    for name, _ in assignment.STATE_FIELDS
]
_COLUMNS: Final = len(USER_SNAPSHOT.names or ())


class RowKind(IntEnum):
    """What a row means for its session."""

    WENT_ON = 0  # a call of a session that was there
    BEGAN = 1  # a call of a session that was not there: nothing before it counts
    GAP = 2  # no call: the log lacks events of the session, or, without one, of any
    ERASED = 3  # no call: nothing before counts; without a session, a row that was erased


class LogRow(NamedTuple):
    """A row to append. Ids are encoded; a time is in microseconds since 1970."""

    received_time_us: int
    kind: RowKind
    tenant: str
    session_id: str
    visitor_id: str
    body: bytes


def everybodys_gap(time_us: int) -> LogRow:
    """Make a row that says that the log lacks events of anybody who was under way."""
    return LogRow(time_us, RowKind.GAP, "", "", "", b"")


def erased_row(time_us: int, key: SessionKey) -> LogRow:
    """Make a row that says that a session was erased: its rows before count no more."""
    return LogRow(time_us, RowKind.ERASED, key.tenant, key.session_id, "", b"")


@dataclass(frozen=True, slots=True)
class LoggedVisit:
    """A row as it was read, with its place in the log."""

    position: int
    received_time_us: int
    kind: RowKind
    tenant: str
    session_id: str
    visitor_id: str
    body: bytes

    @property
    def key(self) -> SessionKey:
        """The session that it belongs to."""
        return SessionKey(self.tenant, self.session_id)

    def call(self) -> pb.LoggedCall:
        """Parse the call. Raises `google.protobuf.message.DecodeError` for damaged bytes."""
        return pb.LoggedCall.FromString(self.body)


def score_call(visit: LoggedVisit, logged: pb.LoggedCall) -> ScoreCall:
    """Give a logged call as the scorer took it, with the bits that it had.

    Raises `OutsideContractError` for one that no server logged.
    """
    visitor = hash_id(visit.visitor_id)
    batch = events_from_proto(
        logged.events,
        visitor,
        visitor if logged.identified else 0,
        visit.received_time_us,
        _shop(logged.currency, logged.time_zone),
    )
    events = logged.events
    return ScoreCall(
        visit.key,
        visitor,
        batch,
        tuple([event.event_id for event in events]),
        events[0].sequence if events and events[0].HasField("sequence") else None,
        _user(logged.user) if logged.HasField("user") else None,
        logged.as_of_us if logged.HasField("as_of_us") else None,
    )


def standing_of(state: bytes) -> list[int]:
    """Give where a visit stands by the bytes of its state."""
    return [int.from_bytes(state[at : at + size], "little") for at, size in _STANDING]


def stand(state: RecordArray, standing: Sequence[int]) -> None:
    """Let a visit's state, shape (1,), stand where its log says.

    Raises `OutsideContractError` for what no server logged.
    """
    try:
        for (name, _), value in zip(assignment.STATE_FIELDS, standing, strict=True):
            state[name] = value
    except (ValueError, OverflowError):
        raise OutsideContractError from None


def logged_user(user: UserLookup) -> pb.LoggedUser:
    """Write down what came of looking a visitor up."""
    message = pb.LoggedUser(status=user.status)
    if user.status == UserStatus.FOUND:
        message.snapshot.extend(user.row.view(np.int64).tolist())
    return message


def _user(message: pb.LoggedUser) -> UserLookup:
    try:
        lookup = no_lookup(UserStatus(message.status))
    except ValueError:
        raise OutsideContractError from None
    if message.snapshot:
        # Columns are added at the end: a log of an older version lacks the last ones.
        values = lookup.row.view(np.int64)
        known = message.snapshot[:_COLUMNS]
        values[: len(known)] = known
    return lookup


@lru_cache(maxsize=64)
def _shop(currency: str, time_zone: str) -> Shop:
    try:
        return Shop(currency, time_zone or "UTC")
    except InvalidSettingError:
        raise OutsideContractError from None
