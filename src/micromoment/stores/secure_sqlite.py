"""Removes rows of an SQLite file so that none of their bytes stay in it or beside it.

SQLite only marks what is removed as free. `secure_delete` overwrites that, but not what stays
behind where pages are split or joined; writing the file anew does. And a write-ahead log keeps rows
that were merged, until it is cut to nothing, for which nobody may be reading it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

# The mark, as SQLite's `application_id`, of a file from which rows went and that was not written
# anew since.
UNCLEAN: Final = 0x4D4D5543
_BUSY_TIMEOUT_S: Final = 2.0
_PAUSE_S: Final = 0.05
_CUT_WAIT_MS: Final = 20
# What one statement may name.
_NAMED: Final = 500


@contextmanager
def erasing(path: Path, *, wait_s: float = 5.0) -> Iterator[sqlite3.Connection]:
    """Open a file that is there, in a transaction that others' writes wait for; then clean it.

    Where something was changed, now or before a crash, the file is written anew; its write-ahead
    log is cut. Readers may go on for `wait_s` seconds. Raises `sqlite3.Error`, also where rows are
    gone and their bytes are not yet: doing the same again removes those.
    """
    with closing(open_existing(path)) as connection:
        connection.execute("PRAGMA secure_delete = 1")
        connection.execute("BEGIN IMMEDIATE")
        before = connection.total_changes
        try:
            yield connection
            if connection.total_changes > before:
                # nosemgrep: no-values-in-sql - a constant; PRAGMA takes no parameter
                connection.execute(f"PRAGMA application_id = {UNCLEAN}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        if is_unclean(connection):
            connection.execute("VACUUM")
            cut_log(connection, wait_s)
            # nosemgrep: no-values-in-sql - a number; PRAGMA takes no parameter
            connection.execute(f"PRAGMA busy_timeout = {round(1_000 * _BUSY_TIMEOUT_S)}")
            connection.execute("PRAGMA application_id = 0")
        cut_log(connection, wait_s)


def is_unclean(connection: sqlite3.Connection) -> bool:
    """Tell whether a file must be written anew, because that was broken off."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    return int(mark) == UNCLEAN


def cut_log(connection: sqlite3.Connection, wait_s: float) -> None:
    """Merge the write-ahead log and cut it to nothing. Raises `sqlite3.OperationalError`."""
    deadline = time.monotonic() + wait_s
    # While it waits for readers, nobody can write: it lets go soon and tries again.
    # nosemgrep: no-values-in-sql - a constant; PRAGMA takes no parameter
    connection.execute(f"PRAGMA busy_timeout = {_CUT_WAIT_MS}")
    while True:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("readers keep what was removed in the write-ahead log")
        time.sleep(_PAUSE_S)


def open_existing(path: Path) -> sqlite3.Connection:
    """Open a file that is there, in autocommit mode. Raises `sqlite3.OperationalError`."""
    # Not one that is made: the file may have been removed meanwhile.
    uri = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


def parts(ids: Collection[str]) -> list[list[str]]:
    """Give ids, without the empty one, in parts that one statement may name."""
    known = sorted(set(ids) - {""})
    return [known[first : first + _NAMED] for first in range(0, len(known), _NAMED)]
