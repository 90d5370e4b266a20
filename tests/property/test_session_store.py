"""The in-process session store against a model that is simple and slow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.sessions import MemorySessionStore

NAMES = st.integers(0, 14)
STEPS = st.lists(st.tuples(st.sampled_from(["get", "put"]), NAMES), max_size=120)


class Model:
    """A segmented LRU of lists, the oldest first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.probation: list[int] = []
        self.protected: list[int] = []
        self.kept: dict[int, bytes] = {}
        self.lost: set[int] = set()

    def use(self, name: int) -> None:
        """Protect a session that is kept; the oldest protected one may be on probation for it."""
        segment = self.probation if name in self.probation else self.protected
        segment.remove(name)
        self.protected.append(name)
        if len(self.protected) > 0.8 * self.size:
            self.probation.append(self.protected.pop(0))

    def put(self, name: int, data: bytes) -> None:
        """Keep a session."""
        if name in self.kept:
            self.use(name)
        else:
            if len(self.kept) == self.size:
                oldest = (self.probation or self.protected).pop(0)
                del self.kept[oldest]
                self.lost.add(oldest)
            self.probation.append(name)
        self.kept[name] = data
        self.lost.discard(name)


def a_key(name: int, tenant: str = "default") -> SessionKey:
    """Make a key."""
    return SessionKey(tenant, f"s{name}")


@given(st.integers(1, 9), STEPS)
def test_it_does_as_the_model_does(size: int, steps: list[tuple[str, int]]) -> None:
    """Never more than fit; the same are kept, with their last data, and the same called lost."""
    store, model = MemorySessionStore(size, 60, state_bytes=2), Model(size)
    for place, (step, name) in enumerate(steps):
        if step == "put":
            data = place.to_bytes(2, "little")
            store.put(a_key(name), SessionEntry(data, f"e{place}"))
            model.put(name, data)
        else:
            found = store.get(a_key(name))
            assert (found and found.data) == model.kept.get(name)
            if name in model.kept:
                model.use(name)
        assert len(store) == len(model.kept) <= size
        assert store.n_probation == len(model.probation)
        assert {n for n in range(15) if store.was_evicted(a_key(n))} == model.lost
    kept = {int(key.session_id[1:]): entry.data for key, entry, _ in store.oldest_first()}
    assert kept == model.kept


@given(st.integers(1, 8), st.integers(1, 8), st.lists(st.tuples(NAMES, NAMES), max_size=120))
def test_no_tenant_has_more_than_its_cap(size: int, cap: int, calls: list[tuple[int, int]]) -> None:
    """Nor all together more than fit; what has gone is called lost, and the last one is there."""
    store = MemorySessionStore(size, 60, max_per_tenant=cap, state_bytes=1)
    known = set()
    for tenant, name in calls:
        key = a_key(name, f"t{tenant % 3}")
        store.put(key, SessionEntry(b"x", "e"))
        known.add(key)
        kept = {key for key, _, _ in store.oldest_first()}
        assert key in kept
        assert len(kept) <= size
        assert max(sum(k.tenant == f"t{n}" for k in kept) for n in range(3)) <= cap
        assert {k for k in known if store.was_evicted(k)} == known - kept


@given(st.integers(5, 40), st.data())
def test_visits_under_way_outlive_a_crawler(size: int, data: st.DataObject) -> None:
    """However many sessions of one call come, up to four fifths that were used again stay."""
    store = MemorySessionStore(size, 60, state_bytes=1)
    visits = range(data.draw(st.integers(1, int(0.8 * size))))
    for _ in range(2):
        for name in visits:
            store.put(a_key(name), SessionEntry(b"x", "e"))
    for name in range(data.draw(st.integers(0, 200))):
        store.put(a_key(1_000 + name), SessionEntry(b"y", "e"))
    assert all(store.get(a_key(name)) is not None for name in visits)
