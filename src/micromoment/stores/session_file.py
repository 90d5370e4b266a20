"""The sessions of one server as a file, written when it drains and read when it starts again.

Layout, little-endian, no pickle: 8 bytes of magic, the header's length (u32) and the header (JSON:
state_version, layout, state_bytes, sessions, probation, log_position), then for each session the
time of its last use (f64, seconds since 1970), the lengths of tenant, session id and last event id
(3 x u16), these three in UTF-8, and its state; at the end the SHA-256 of all that. The first
`probation` sessions were not used again after their first call, the others are protected
(`session_order`); each of both least recently used first. Without `probation` in the header all are
protected. `log_position` is the place of the last row of the event log that the sessions hold, null
without a log. Scores are not kept: they follow from the state and the bundle.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from micromoment.errors import InvalidDataError
from micromoment.features.state import ADDED_IN_PADDING, STATE, STATE_VERSION, is_sound
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.sessions import MemorySessionStore

_MAGIC: Final = b"MMSESS\x00\x01"
_LENGTH: Final = struct.Struct("<I")
_RECORD: Final = struct.Struct("<dHHH")
_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_COPY_BYTES: Final = 1 << 20
# A header is four short values; a longer one is damage.
_MAX_HEADER_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class StateFormat:
    """Which states a file holds: their version, type and size."""

    version: int = STATE_VERSION
    dtype: np.dtype[Any] = STATE

    @property
    def layout(self) -> str:
        """A digest of the fields' names, types and places, without those added in padding."""
        fields = [
            (name, self.dtype[name])
            for name in self.dtype.names or ()
            if name not in ADDED_IN_PADDING
        ]
        known = np.dtype(fields, align=self.dtype.isalignedstruct)
        return hashlib.sha256(repr(known).encode()).hexdigest()[:16]

    def can_be(self, data: bytes) -> bool:
        """Tell whether bytes can be a state of this format, as far as that is known of it."""
        if self.dtype == STATE:
            return is_sound(data)
        return len(data) == self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class RestoredSessions:
    """What became of the sessions in a file: `refused` are of another state format."""

    kept: int
    refused: int


def save_sessions(
    store: MemorySessionStore,
    path: Path,
    state_format: StateFormat | None = None,
    *,
    log_position: int | None = None,
) -> None:
    """Write all sessions; `path` appears whole or, on an error, stays as it was."""
    state_format = state_format or StateFormat()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb", buffering=_COPY_BYTES) as file:
            _write(store, file, state_format, log_position)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(path: Path) -> None:
    """Remove what saving left behind where the process was killed in the middle of it."""
    for draft in path.parent.glob(f"{path.name}.*.draft"):
        draft.unlink(missing_ok=True)


def load_sessions(
    store: MemorySessionStore,
    path: Path,
    state_format: StateFormat | None = None,
    *,
    log_position: int | None = None,
) -> RestoredSessions:
    """Read sessions into `store`; those of another state format are remembered as lost.

    Raises `InvalidDataError` when the file is damaged, or not of the event log's `log_position`;
    `store` is then unchanged.
    """
    state_format = state_format or StateFormat()
    with path.open("rb") as file:
        _check_digest(file, path)
        header = _read_header(file, path)
        if log_position is not None and header.get("log_position") != log_position:
            raise InvalidDataError(str(path), "the event log has gone on since it was written")
        readable = (
            header["state_version"] == state_format.version
            and header["layout"] == state_format.layout
        )
        probation = header.get("probation", 0)
        for place, (used_at, key, last_event_id, state) in enumerate(_read_records(file, header)):
            if readable:
                entry = SessionEntry(state, last_event_id)
                store.restore(key, entry, used_at, protected=place >= probation)
            else:
                store.remember_lost(key)
    kept = len(store) if readable else 0
    return RestoredSessions(kept, 0 if readable else header["sessions"])


def _write(
    store: MemorySessionStore,
    file: BinaryIO,
    state_format: StateFormat,
    log_position: int | None,
) -> None:
    digest = hashlib.sha256()

    def write(part: bytes) -> None:
        digest.update(part)
        file.write(part)

    header = {
        "state_version": state_format.version,
        "layout": state_format.layout,
        "state_bytes": state_format.dtype.itemsize,
        "sessions": len(store),
        "probation": store.n_probation,
        "log_position": log_position,
    }
    encoded = json.dumps(header, sort_keys=True).encode()
    write(_MAGIC + _LENGTH.pack(len(encoded)) + encoded)
    for key, entry, used_at in store.oldest_first():
        texts = [text.encode() for text in (key.tenant, key.session_id, entry.last_event_id)]
        write(_RECORD.pack(used_at, *map(len, texts)) + b"".join(texts) + entry.data)
    file.write(digest.digest())


def _check_digest(file: BinaryIO, path: Path) -> None:
    digest = hashlib.sha256()
    left = path.stat().st_size - _DIGEST_BYTES
    while left > 0:
        part = file.read(min(_COPY_BYTES, left))
        digest.update(part)
        left -= len(part)
    if left < 0 or file.read() != digest.digest():
        raise InvalidDataError(str(path), "damaged or cut short: its checksum does not match")
    file.seek(0)


def _read_header(file: BinaryIO, path: Path) -> dict[str, Any]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise InvalidDataError(str(path), "not a file of sessions, or of another format")
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    if length > _MAX_HEADER_BYTES:
        raise InvalidDataError(str(path), "its header is too long")
    header: dict[str, Any] = json.loads(file.read(length))
    return header


def _read_records(
    file: BinaryIO, header: dict[str, Any]
) -> Iterator[tuple[float, SessionKey, str, bytes]]:
    state_bytes = header["state_bytes"]
    for _ in range(header["sessions"]):
        used_at, *lengths = _RECORD.unpack(file.read(_RECORD.size))
        tenant, session_id, event_id = (file.read(length).decode() for length in lengths)
        yield used_at, SessionKey(tenant, session_id), event_id, file.read(state_bytes)
