"""Tombstones: who was erased until when, kept over restarts without an id in them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from micromoment.scoring.calls import SessionKey
from micromoment.stores.errors import TombstonesUnavailableError
from micromoment.stores.tombstones import Erasure, FileRegister, Tombstones, visitor_mark

A_DAY = 86_400.0


def test_nobody_is_erased_at_first() -> None:
    """Without tombstones nothing is hashed, and all events count."""
    tombstones = Tombstones()
    assert not tombstones.times
    assert tombstones.until([SessionKey("t", "s")], "t", ["v"]) == 0


def test_the_latest_of_all_ids_counts() -> None:
    """Of the session and of each form of the visitor's id; another tenant's are others."""
    tombstones = Tombstones()
    tombstones.add(Erasure("t", ("v", "w"), frozenset({"s"})).marks, 5)
    tombstones.add([visitor_mark("t", "w")], 9)
    tombstones.add([visitor_mark("t", "w")], 7)
    assert tombstones.until([SessionKey("t", "other")], "t", ["v"]) == 5
    assert tombstones.until([SessionKey("t", "s")], "t", []) == 5
    assert tombstones.until((), "t", ["x", "v", "w"]) == 9
    assert tombstones.until([SessionKey("u", "s")], "u", ["v", "w"]) == 0


async def test_an_erasure_is_kept_until_it_is_done(tmp_path: Path) -> None:
    """A register that is opened again knows it with its sessions; done, only hashes are left."""
    path = tmp_path / "state" / "erasures.json"
    begun = await FileRegister(path, A_DAY).begin(Erasure("t", ("canary",)))
    register = FileRegister(path, A_DAY)
    (pending,) = await register.pending()
    assert pending == begun
    await register.go_on(pending.with_sessions({"canary-s"}))
    again = FileRegister(path, A_DAY)
    # Asked again it goes on with what was found, up to now.
    more = await again.begin(Erasure("t", ("canary",)))
    assert more.sessions == {"canary-s"}
    assert more.time_us >= begun.time_us
    await again.finish(more)
    assert "canary" not in path.read_text()
    last = FileRegister(path, A_DAY)
    assert await last.pending() == []
    assert last.tombstones.until([SessionKey("t", "canary-s")], "t", []) == more.time_us
    assert last.tombstones.until((), "t", ["canary"]) == more.time_us


async def test_tombstones_go_after_their_time(tmp_path: Path) -> None:
    """Those older than the retention are dropped when the next erasure is done."""
    register = FileRegister(tmp_path / "erasures.json", A_DAY)
    old_us = time.time_ns() // 1_000 - round(2 * A_DAY * 1e6)
    register.tombstones.add([visitor_mark("t", "old")], old_us)
    await register.finish(await register.begin(Erasure("t", ("new",))))
    again = FileRegister(tmp_path / "erasures.json", A_DAY)
    assert again.tombstones.until((), "t", ["old"]) == 0
    assert again.tombstones.until((), "t", ["new"]) > 0


async def test_what_can_t_be_written_is_not_begun(tmp_path: Path) -> None:
    """The caller learns that nothing was written down."""
    (tmp_path / "file").write_text("")
    register = FileRegister(tmp_path / "file" / "erasures.json", A_DAY)
    with pytest.raises(TombstonesUnavailableError):
        await register.begin(Erasure("t", ("v",)))


def test_a_damaged_register_stops_the_start(tmp_path: Path) -> None:
    """Who was erased must not be forgotten in silence."""
    path = tmp_path / "erasures.json"
    for text in ("{", "[]", '{"format": 2, "erased": {}, "pending": []}'):
        path.write_text(text)
        with pytest.raises(InvalidDataError):
            FileRegister(path, A_DAY)
