"""Sessions come back from the log: which, with which bits, and which are called lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from micromoment.events.identity import IdEncoder
from micromoment.recovery import Recovered, recover_sessions
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.scorer import Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.absent import NoVisitLog
from micromoment.stores.log_rows import LogRow, RowKind, erased_row
from micromoment.stores.log_segments import LogLimits, SegmentWriter, segments
from micromoment.stores.sessions import MemorySessionStore
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.recorder import Recorder, Samples
from micromoment.v1 import scoring_pb2 as pb
from tests.support.recovery import an_event

NOW_S = 1_700_000_000.0
TTL_S = 100.0
GAP = LogRow(round(NOW_S * 1e6), RowKind.GAP, "", "", "", b"")


class Server:
    """Scores calls one after the other and remembers rows and sessions."""

    def __init__(self, bundle: LoadedBundle) -> None:
        self.now_s = NOW_S
        self.rows: list[LogRow] = []
        self.entries: dict[str, SessionEntry] = {}
        self._scorer = Scorer(bundle, max_user_feature_age_us=10**15)
        self._decoder = RequestDecoder(bundle.shop, IdEncoder(), lambda: round(self.now_s * 1e6))
        self._recorder = Recorder(bundle, Samples(1.0, 1.0), NoVisitLog())

    def call(self, session: int, number: int, *, ago_s: float = 0.0, lost: bool = False) -> None:
        """Send an event of a session, so many seconds before now."""
        self.now_s = NOW_S - ago_s
        request = pb.ScoreRequest(
            session_id=f"s{session}", anonymous_id="a", events=[an_event(session, number)]
        )
        visit = self._decoder.score_call(request)
        entry = self.entries.get(request.session_id)
        scored = self._scorer.score(visit.call, entry, lost=lost)
        assert scored.entry is not None
        self.entries[request.session_id] = scored.entry
        self.rows.append(self._recorder.row(visit, visit.call, entry, scored, lost=lost))

    def forget(self, session: int) -> None:
        """Let a session make room."""
        del self.entries[f"s{session}"]


@pytest.fixture
def server(tiny_bundle: LoadedBundle) -> Server:
    """A server that has not been called."""
    return Server(tiny_bundle)


def recovered(
    folder: Path, rows: Sequence[LogRow], *, most: int = 100, per_segment: int = 4
) -> tuple[MemorySessionStore, Recovered]:
    """Write rows to a log of several files, and recover from it."""
    writer = SegmentWriter(folder, "commit", LogLimits(1 << 20, 1e12, 1 << 30))
    for first in range(0, len(rows), per_segment):
        writer.write(rows[first : first + per_segment])
        writer.rotate()
    writer.close()
    sessions = MemorySessionStore(100, TTL_S, clock=lambda: NOW_S)
    return sessions, recover_sessions(folder, sessions, ttl_s=TTL_S, most=most, now=NOW_S)


def key(session: int) -> SessionKey:
    """Give a session's key."""
    return SessionKey("default", f"s{session}")


def test_sessions_have_the_bits_that_they_had(server: Server, tmp_path: Path) -> None:
    """Interleaved visits over several files, one of them longer than the time to live."""
    for number in range(12):
        for session in (1, 2, 10):
            server.call(session, number, ago_s=30.0 * (11 - number))
    sessions, found = recovered(tmp_path, server.rows)
    for session in (1, 2, 10):
        assert sessions.get(key(session)) == server.entries[f"s{session}"]
    assert found == Recovered(sessions=3, lost=0, events=36)


def test_what_is_past_its_time_stays_away(server: Server, tmp_path: Path) -> None:
    """A session unused for longer than the time to live is over, and not called lost."""
    server.call(1, 0, ago_s=TTL_S + 1)
    server.call(2, 0, ago_s=TTL_S - 1)
    sessions, found = recovered(tmp_path, server.rows)
    assert (found.sessions, found.events) == (1, 1)
    assert sessions.get(key(1)) is None
    assert not sessions.was_evicted(key(1))


def test_a_session_that_made_room_begins_anew(server: Server, tmp_path: Path) -> None:
    """What it had before counts no more; that it was lost then is still said."""
    server.call(1, 0)
    server.call(1, 1)
    server.forget(1)
    server.call(1, 2, lost=True)
    server.call(1, 3)
    sessions, found = recovered(tmp_path, server.rows)
    entry = sessions.get(key(1))
    assert entry == server.entries["s1"]
    assert entry is not None
    assert entry.state["events_seen"][0] == 2
    assert entry.state["state_lost"][0]
    assert found.events == 2


def test_a_gap_is_said(server: Server, tmp_path: Path) -> None:
    """Of a session with a gap what came after it is kept, and it is called lost."""
    server.call(1, 0)
    server.call(2, 0)
    server.rows.append(GAP._replace(tenant="default", session_id="s1"))
    server.call(1, 2)
    sessions, found = recovered(tmp_path, server.rows)
    entry = sessions.get(key(1))
    assert entry is not None
    assert (entry.state["events_seen"][0], bool(entry.state["state_lost"][0])) == (1, True)
    assert sessions.get(key(2)) == server.entries["s2"]
    assert (found.sessions, found.lost) == (2, 1)


def test_what_was_erased_does_not_come_back(server: Server, tmp_path: Path) -> None:
    """Nothing before the row that says so is folded, and nobody is called lost for it."""
    for session in (1, 2, 3):
        server.call(session, 0)
    for session in (1, 2):
        server.rows.append(erased_row(round(NOW_S * 1e6), key(session)))
        server.forget(session)
    server.call(2, 1)
    server.rows.append(erased_row(round(NOW_S * 1e6), SessionKey("", "")))
    server.call(3, 1)
    sessions, found = recovered(tmp_path, server.rows)
    assert sessions.get(key(1)) is None
    assert not sessions.was_evicted(key(1))
    for session in (2, 3):
        assert sessions.get(key(session)) == server.entries[f"s{session}"]
    assert (found.sessions, found.lost, found.events) == (2, 0, 3)


def test_a_gap_at_the_end_leaves_nothing_but_the_word(server: Server, tmp_path: Path) -> None:
    """A session whose last row is its gap is not there, and lost."""
    server.call(1, 0)
    server.rows.append(GAP._replace(tenant="default", session_id="s1"))
    sessions, _ = recovered(tmp_path, server.rows)
    assert sessions.get(key(1)) is None
    assert sessions.was_evicted(key(1))


def test_everybodys_gap(server: Server, tmp_path: Path) -> None:
    """Whoever was under way may lack events; who came later does not."""
    server.call(1, 0)
    server.call(2, 0)
    server.rows.append(GAP)
    server.call(2, 1)
    server.call(3, 0)
    sessions, found = recovered(tmp_path, server.rows)
    assert sessions.was_evicted(key(1))
    second, third = sessions.get(key(2)), sessions.get(key(3))
    assert second is not None
    assert second.state["state_lost"][0]
    assert third == server.entries["s3"]
    assert (found.sessions, found.lost) == (2, 2)


def test_a_beginning_that_is_gone(server: Server, tmp_path: Path) -> None:
    """A session whose first rows were removed with their file is called lost."""
    for number in range(4):
        server.call(1, number)
    sessions, found = recovered(tmp_path, server.rows[2:])
    entry = sessions.get(key(1))
    assert entry is not None
    assert entry.state["state_lost"][0]
    assert found.lost == 1


def test_the_latest_come_back(server: Server, tmp_path: Path) -> None:
    """Of more sessions than there is room for, those used last; the others are lost."""
    for session in range(5):
        server.call(session, 0, ago_s=10.0 - session)
    sessions, found = recovered(tmp_path, server.rows, most=2)
    assert [sessions.get(key(session)) is not None for session in range(5)] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert sessions.was_evicted(key(0))
    assert (found.sessions, found.lost) == (2, 3)


def test_a_damaged_row_is_its_sessions_loss(server: Server, tmp_path: Path) -> None:
    """Of a session with a call that can't be read what came after it is kept, and it is lost."""
    server.call(1, 0)
    server.call(2, 0)
    server.call(1, 1)
    server.rows[-1] = server.rows[-1]._replace(body=b"\xff\xff")
    server.call(1, 2)
    sessions, found = recovered(tmp_path, server.rows)
    entry = sessions.get(key(1))
    assert entry is not None
    assert (entry.state["events_seen"][0], bool(entry.state["state_lost"][0])) == (1, True)
    assert sessions.get(key(2)) == server.entries["s2"]
    assert (found.sessions, found.lost) == (2, 1)


@pytest.mark.parametrize("damage", ["all", "bodies"])
def test_a_damaged_file_is_the_loss_of_who_was_in_it(
    server: Server, tmp_path: Path, damage: str
) -> None:
    """Who began after it comes back whole, who was under way is lost, and nothing stops."""
    for number in range(4):
        server.call(1, number)  # in the first file, then in the second
        server.call(2, number)
    server.call(1, 4)
    server.call(3, 0)
    folder = tmp_path / "log"
    folder.mkdir()
    recovered(folder, server.rows)
    second = segments(folder)[1]
    content = bytearray(second.read_bytes())
    if damage == "all":
        content[:100] = bytes(100)
    else:
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    second.write_bytes(bytes(content))
    sessions = MemorySessionStore(100, TTL_S, clock=lambda: NOW_S)
    found = recover_sessions(folder, sessions, ttl_s=TTL_S, most=100, now=NOW_S)
    first, third = sessions.get(key(1)), sessions.get(key(3))
    assert first is not None
    assert first.state["state_lost"][0]
    assert third == server.entries["s3"]
    assert sessions.was_evicted(key(2))
    assert (found.sessions, found.lost) == (2, 2)
