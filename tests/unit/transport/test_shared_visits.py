"""Sessions that other servers change, too: tried again, within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from micromoment.features.state import new_state
from micromoment.features.user_snapshot import UserStatus
from micromoment.scoring.calls import Degraded, SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.interfaces import Held
from micromoment.stores.log_rows import LogRow
from micromoment.transport.observer import NoObserver
from micromoment.transport.shared_visits import SharedVisits
from micromoment.transport.visitors import Visitors
from tests.support.serving import CountingScorer, SlowUsers
from tests.support.shared_sessions import a_visit


@dataclass
class ContestedStore:
    """A store in which somebody else adds an event before each of the first `contests` writes."""

    contests: int = 0
    kept: list[str] = field(default_factory=list)
    lost: set[SessionKey] = field(default_factory=set)
    fetched: int = 0

    def recall(self, key: SessionKey) -> Held | None:  # noqa: ARG002 - the protocol's
        """Remember nothing."""
        return None

    async def fetch_first(
        self,
        keys: Sequence[SessionKey],  # noqa: ARG002 - the protocol's
    ) -> tuple[int, Held]:
        """Give what is there."""
        self.fetched += 1
        return 0, self._held()

    async def replace(
        self,
        key: SessionKey,
        held: Held,
        entry: SessionEntry,
        row: LogRow | None = None,  # noqa: ARG002 - the protocol's
        *,
        others: Sequence[SessionKey] = (),
    ) -> Held | None:
        """Keep it unless somebody was faster."""
        assert not others
        if self.contests:
            self.contests -= 1
            self.kept.append(f"theirs{self.contests}")
        if held.version != str(len(self.kept)).encode():
            return self._held()
        self.kept = entry.last_event_id.split(",")
        self.lost.discard(key)
        return None

    async def forget(self, key: SessionKey, row: LogRow | None = None) -> bool:
        """Hold nothing."""
        raise NotImplementedError

    def was_lost(self, key: SessionKey) -> bool:
        """Tell what was remembered."""
        return key in self.lost

    def remember_lost(
        self,
        key: SessionKey,
        *,
        only_if_known: bool = False,  # noqa: ARG002 - the protocol's
    ) -> None:
        """Remember it."""
        self.lost.add(key)

    def _held(self) -> Held:
        entry = SessionEntry.of(new_state(), ",".join(self.kept)) if self.kept else None
        return Held(str(len(self.kept)).encode(), entry)


def visits_on(store: ContestedStore) -> SharedVisits:
    """Make the application around a store."""
    visitors = Visitors(SlowUsers(status=UserStatus.UNKNOWN), 1.0, NoObserver())
    return SharedVisits(CountingScorer(), store, visitors, NoObserver())


async def test_a_call_is_answered_again_from_what_is_there() -> None:
    """Each time that somebody was faster their event is seen, and the call's own counts once."""
    store = ContestedStore(contests=3)
    score = await visits_on(store).score(a_visit("s1", ["mine"]))
    assert (score.events_seen, score.last_event_id, score.duplicates) == (4, "mine", 0)
    assert store.kept == ["theirs2", "theirs1", "theirs0", "mine"]
    assert store.fetched == 1


async def test_folding_is_tried_again_too() -> None:
    """Ingested events count once, however often somebody was faster."""
    store = ContestedStore(contests=2)
    folded = await visits_on(store).fold(a_visit("s1", ["a", "b", "a"]))
    assert (folded.accepted, folded.duplicates) == (2, 1)
    assert store.kept == ["theirs1", "theirs0", "a", "b"]


async def test_trying_ends() -> None:
    """A call that never gets its turn is answered from its own events, and that is remembered."""
    store = ContestedStore(contests=1_000)
    visits = visits_on(store)
    score = await visits.score(a_visit("s1", ["mine"]))
    assert (score.events_seen, score.degraded) == (1, (Degraded.STATE_UNAVAILABLE,))
    with pytest.raises(SessionStoreUnavailableError):
        await visits.fold(a_visit("s1", ["mine"]))
    store.contests = 0
    later = await visits.score(a_visit("s1", ["later"]))
    assert later.degraded == (Degraded.STATE_LOST,)
    assert (await visits.score(a_visit("s1", ["last"]))).degraded == ()
