"""Which session makes room: a segmented LRU per tenant, in many small parts.

Segmented LRU is of Karedla, Love and Wherry, "Caching strategies to improve disk system
performance", Computer 27(3), 1994. A session begins on probation and is protected once it is used
again; those on probation go first. When more than four fifths are protected, the one of them that
was used longest ago is on probation again, so that new sessions always have some time to come back.

Which tenant gives when all have too many: the one with the most, as FQ-CoDel drops from its longest
queue (RFC 8290).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from micromoment.scoring.calls import SessionKey

# Small dictionaries: one of a million takes 50 ms to grow, and ever longer to find its oldest key.
_PART_SESSIONS: Final = 256
# A store up to this size is one part, and so in strict order.
_ONE_PART: Final = 2_048
_PROTECTED: Final = 0.8
# A dictionary uses the lowest bits of the hash itself.
_SHIFT: Final = 24


class Eviction(StrEnum):
    """Why a session is no longer kept."""

    EXPIRED = "expired"
    CAPACITY = "capacity"
    TENANT_CAP = "tenant_cap"
    ERASED = "erased"


class Leaving(NamedTuple):
    """The session that has to make room, where it lies, and why."""

    key: SessionKey
    slot: int
    why: Eviction


class _Tenant:
    """One tenant's sessions: in each part session id to slot, least recently used first."""

    def __init__(self, name: str, cap: int) -> None:
        parts = 1 if cap <= _ONE_PART else 1 << (cap // _PART_SESSIONS).bit_length()
        self.name = name
        self.cap = cap
        self.mask = parts - 1
        self.probation: list[dict[str, int]] = [{} for _ in range(parts)]
        self.protected: list[dict[str, int]] = [{} for _ in range(parts)]
        self.n_probation = 0
        self.n_protected = 0

    def part(self, session_id: str) -> int:
        return hash(session_id) >> _SHIFT & self.mask

    def oldest(self, near: int) -> tuple[str, int]:
        """Give a session that was used long ago: on probation if any is, from the part `near` on.

        Other parts hold as many as this one by chance, so the search ends soon.
        """
        segment = self.probation if self.n_probation else self.protected
        part = near & self.mask
        while not segment[part]:
            part = (part + 1) & self.mask
        return next(iter(segment[part].items()))

    def demote(self, near: int) -> None:
        """Put the protected session that was used longest ago on probation."""
        part = near & self.mask
        while not self.protected[part]:
            part = (part + 1) & self.mask
        session_id = next(iter(self.protected[part]))
        self.probation[part][session_id] = self.protected[part].pop(session_id)
        self.n_protected -= 1
        self.n_probation += 1


class SessionOrder:
    """Finds the slot of each session, and who leaves when `max_sessions` or a tenant's cap is met.

    A dictionary holds ids and numbers alone, so that the garbage collector never walks it.
    """

    def __init__(self, max_sessions: int, max_per_tenant: int) -> None:
        self._max_sessions = max_sessions
        self._max_per_tenant = min(max_per_tenant, max_sessions)
        self._tenants: dict[str, _Tenant] = {}
        self._sessions = 0

    def __len__(self) -> int:
        return self._sessions

    @property
    def n_probation(self) -> int:
        """How many sessions are on probation."""
        return sum(tenant.n_probation for tenant in self._tenants.values())

    def touch(self, key: SessionKey) -> int | None:
        """Note a use and give the session's slot; None for one that isn't there."""
        name, session_id = key
        tenant = self._tenants.get(name)
        if tenant is None:
            return None
        part = hash(session_id) >> _SHIFT & tenant.mask
        protected = tenant.protected[part]
        slot = protected.pop(session_id, None)
        if slot is not None:
            protected[session_id] = slot
            return slot
        slot = tenant.probation[part].pop(session_id, None)
        if slot is not None:
            protected[session_id] = slot
            tenant.n_probation -= 1
            tenant.n_protected += 1
            self._limit_protected(tenant, part)
        return slot

    def slot_of(self, key: SessionKey) -> int | None:
        """Give the session's slot; None for one that isn't there."""
        tenant = self._tenants.get(key.tenant)
        if tenant is None:
            return None
        part = tenant.part(key.session_id)
        slot = tenant.probation[part].get(key.session_id)
        return tenant.protected[part].get(key.session_id) if slot is None else slot

    def add(self, key: SessionKey, slot: int, *, protected: bool = False) -> None:
        """Put a session that isn't there at the end of its segment."""
        tenant = self._tenant(key.tenant)
        part = tenant.part(key.session_id)
        self._sessions += 1
        if protected:
            tenant.protected[part][key.session_id] = slot
            tenant.n_protected += 1
            self._limit_protected(tenant, part)
        else:
            tenant.probation[part][key.session_id] = slot
            tenant.n_probation += 1

    def remove(self, key: SessionKey) -> int:
        """Take a session out and give its slot. Raises `KeyError` for one that isn't there."""
        tenant = self._tenants[key.tenant]
        part = tenant.part(key.session_id)
        slot = tenant.probation[part].pop(key.session_id, None)
        if slot is None:
            slot = tenant.protected[part].pop(key.session_id)
            tenant.n_protected -= 1
        else:
            tenant.n_probation -= 1
        self._sessions -= 1
        return slot

    def leaving_for(self, key: SessionKey) -> Leaving | None:
        """Tell who must leave before a session can be added; None while there is room."""
        tenant = self._tenant(key.tenant)
        full = self._sessions >= self._max_sessions
        if tenant.n_probation + tenant.n_protected >= tenant.cap:
            why = Eviction.CAPACITY if full else Eviction.TENANT_CAP
        elif full:
            why = Eviction.CAPACITY
            tenant = self._largest()
        else:
            return None
        session_id, slot = tenant.oldest(hash(key.session_id) >> _SHIFT)
        return Leaving(SessionKey(tenant.name, session_id), slot, why)

    def oldest_beside(self, key: SessionKey) -> Iterator[tuple[SessionKey, int]]:
        """Give the first session of each segment in the part where `key` is or would be."""
        tenant = self._tenant(key.tenant)
        part = tenant.part(key.session_id)
        for segment in (tenant.probation[part], tenant.protected[part]):
            if segment:
                session_id, slot = next(iter(segment.items()))
                yield SessionKey(tenant.name, session_id), slot

    def segment(self, *, protected: bool) -> Iterator[tuple[SessionKey, int]]:
        """Go through a segment, in no order over tenants and parts."""
        for tenant in self._tenants.values():
            for part in tenant.protected if protected else tenant.probation:
                for session_id, slot in part.items():
                    yield SessionKey(tenant.name, session_id), slot

    def _tenant(self, name: str) -> _Tenant:
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant(name, self._max_per_tenant)
        return tenant

    def _largest(self) -> _Tenant:
        return max(self._tenants.values(), key=lambda one: (one.n_probation, one.n_protected))

    def _limit_protected(self, tenant: _Tenant, part: int) -> None:
        if tenant.n_protected > tenant.cap * _PROTECTED:
            tenant.demote(part)
            return
        tenants = self._tenants.values()
        if sum(one.n_protected for one in tenants) > self._max_sessions * _PROTECTED:
            max(tenants, key=lambda one: one.n_protected).demote(part)
