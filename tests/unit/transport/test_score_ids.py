"""Ids of answers."""

from __future__ import annotations

import uuid

from micromoment.transport.score_ids import ScoreIds


def test_ids_are_uuids_of_version_7_with_their_time() -> None:
    """The first 48 bits are milliseconds since 1970."""
    made = ScoreIds(clock_ns=lambda: 1_700_000_000_123_456_789).next()
    parsed = uuid.UUID(made)
    assert (str(parsed), parsed.version, parsed.variant) == (made, 7, uuid.RFC_4122)
    assert parsed.int >> 80 == 1_700_000_000_123
    assert len(made) <= 64


def test_ids_rise_even_while_the_clock_stands_still_or_goes_back() -> None:
    """Each id sorts behind the one before."""
    times = iter([2_000_000_000] * 500 + [1_000_000_000] * 500)
    ids = ScoreIds(clock_ns=lambda: next(times))
    made = [ids.next() for _ in range(1_000)]
    assert made == sorted(set(made))


def test_ids_of_two_servers_differ() -> None:
    """The same moment gives different ids: 62 bits are random."""
    made = {ScoreIds(clock_ns=lambda: 1).next()[19:] for _ in range(1_000)}
    assert len(made) == 1_000
