"""The promotion log: who let which bundle serve, when, and on what grounds.

`<store>/<name>.promotions.jsonl`, one JSON object a line. It lies beside the bundles' folder, which
BentoML removes with its last bundle. A record is written before the pointer `serving` moves, and
the pointer is what counts: a record whose move never came, because the process was killed between,
is followed by one that says so as soon as anybody promotes again.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from micromoment.errors import InvalidDataError
from micromoment.stores.bundles import SERVING
from training.publishing.store import sync_path

Action = Literal["promote", "rollback", "broken off"]
_LINE_END: Final = b"\n"


@dataclass(frozen=True, slots=True)
class Record:
    """One move of the pointer: from one version to another, empty where there was none.

    `broken off` takes the record before it back: its move never came. `checks` are as
    `Check.to_dict` gives them.
    """

    time: str  # ISO 8601, UTC
    who: str
    action: Action
    before: str
    after: str
    forced: bool = False
    reason: str = ""
    checks: tuple[dict[str, Any], ...] = ()


def record_now(action: Action, before: str, after: str, who: str = "") -> Record:
    """Start a record of a move that is about to be made."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(now, who or current_user(), action, before, after)


def current_user() -> str:
    """Give `user@host`; a number where the user has no name, as in a container."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def rolled_back(records: Iterable[Record]) -> dict[str, Record]:
    """Give the versions that somebody rolled back and nobody promoted since, with the roll-back."""
    gone: dict[str, Record] = {}
    for one in records:
        if one.action == "rollback":
            gone[one.before] = one
        elif one.action == "promote":
            gone.pop(one.after, None)
    return gone


def log_file(store: Path, name: str) -> Path:
    """Where the log of a name's bundles is."""
    return store / f"{name}.promotions.jsonl"


def read_log(store: Path, name: str) -> list[Record]:
    """Read all records, the oldest first; an unfinished last line is none."""
    path = log_file(store, name)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(_LINE_END) + 1]
    return list(_records(path, whole))


def _records(path: Path, content: bytes) -> Iterator[Record]:
    for number, line in enumerate(content.splitlines(), 1):
        try:
            values = json.loads(line)
            yield Record(**values | {"checks": tuple(values["checks"])})
        except (ValueError, TypeError, KeyError):
            raise InvalidDataError(str(path), f"line {number} is no promotion") from None


def append_record(store: Path, name: str, record: Record) -> None:
    """Add a record; on return it outlives a crash. What a killed process left half is removed."""
    path = log_file(store, name)
    line = json.dumps(asdict(record), sort_keys=True).encode() + _LINE_END
    with path.open("a+b") as file:
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(_LINE_END) + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    sync_path(store)


def serving_version(store: Path, name: str) -> str:
    """Give the version that serves, empty where none was promoted."""
    try:
        return (store / name / SERVING).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def reconcile(store: Path, name: str) -> None:
    """Let the log say what the pointer says: take a last record back whose move never came."""
    records = read_log(store, name)
    now = serving_version(store, name)
    if records and records[-1].after != now:
        reason = f"the pointer still names {now or 'none'}: the process ended before it moved"
        record = record_now("broken off", records[-1].after, now)
        append_record(store, name, replace(record, reason=reason))


def served_before(records: list[Record]) -> list[str]:
    """Give the versions that one can go back through, the one that serves last.

    A roll-back takes the version that it left out of them: going back twice goes back two.
    """
    path: list[str] = []
    before: list[str] = []
    for record in records:
        if record.action == "broken off":
            ends = before[-1:] == [record.after] or not record.after
            path = before if ends else [*before, record.after]
            continue
        before = path
        if record.action == "promote":
            path = [*path, record.after]
        elif record.after in path:
            path = path[: len(path) - path[::-1].index(record.after)]
    return path
