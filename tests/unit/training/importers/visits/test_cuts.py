from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.errors import InvalidSettingError
from training.importers.visits import SessionRules
from training.importers.visits.cuts import SessionCutter

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE

Moment = tuple[str, int, str, str | None]


def _cut(rules: SessionRules, moments: list[Moment]) -> list[str]:
    cutter = SessionCutter(rules)
    return [cutter.session_of(*moment) for moment in moments]


def _times(rules: SessionRules, *minutes: float) -> list[str]:
    return _cut(rules, [("v", round(m * MINUTE), "d", None) for m in minutes])


@st.composite
def _visitors(draw: st.DrawFn) -> list[Moment]:
    gaps = st.integers(0, 50 * MINUTE)
    campaigns = st.sampled_from([None, None, "spring", "sale"])
    moments = []
    for visitor in draw(st.lists(st.sampled_from("abc"), unique=True)):
        time = draw(st.integers(0, HOUR))
        for gap in draw(st.lists(gaps, max_size=30)):
            time += gap
            moments.append((visitor, time, str(time // (24 * HOUR)), draw(campaigns)))
    return sorted(moments, key=lambda moment: moment[:2])


@given(_visitors(), st.booleans(), st.booleans(), st.integers(1, 120), st.integers(1, 4))
def test_sessions_keep_every_rule(
    moments: list[Moment], midnight: bool, campaign: bool, expiry: int, hours: int
) -> None:
    """No session holds two visitors, a longer silence or span, or a midnight if cut there."""
    rules = SessionRules(expiry, midnight, campaign, hours)
    named = list(zip(_cut(rules, moments), moments, strict=True))
    for session, group in groupby(named, key=lambda pair: pair[0]):
        inside = [moment for _, moment in group]
        first = inside[0]
        assert session == f"{first[0]}.{first[1]}"
        assert {moment[0] for moment in inside} == {first[0]}
        assert inside[-1][1] - first[1] <= rules.span_us
        assert all(later[1] - former[1] <= rules.gap_us for former, later in pairwise(inside))
        assert not midnight or len({moment[2] for moment in inside}) == 1
    assert len({session for session, _ in named}) == len(list(groupby(named, key=lambda p: p[0])))


@given(_visitors(), st.integers(0, 90))
def test_sessions_go_on_where_an_earlier_import_ended(moments: list[Moment], cut: int) -> None:
    """Events whose sessions are known lead to the same sessions after them as in one go."""
    rules = SessionRules(on_campaign=True, max_hours=2)
    whole = _cut(rules, moments)
    cutter = SessionCutter(rules)
    known = [*whole[:cut], *(None for _ in moments[cut:])]
    again = [cutter.session_of(*m, session) for m, session in zip(moments, known, strict=True)]
    assert again == whole


def test_a_session_ends_after_silence() -> None:
    """Thirty minutes of silence keep a session, a moment more ends it."""
    assert _times(SessionRules(), 0, 30, 60) == ["v.0"] * 3
    assert _times(SessionRules(), 0, 30.001) == ["v.0", "v.1800060000"]
    assert len(set(_times(SessionRules(expiry_minutes=5), 0, 6))) == 2


def test_a_session_is_no_longer_than_its_cap() -> None:
    """An unbroken row of events is cut when it spans more than the cap, counted from its start."""
    minutes = range(0, 200, 20)
    sessions = _times(SessionRules(max_hours=1), *minutes)
    assert [int(s.split(".")[1]) // MINUTE for s in sessions] == [0] * 4 + [80] * 4 + [160] * 2


def test_midnight_and_campaigns_cut_only_if_asked() -> None:
    """A new day or campaign begins a session under its option alone; the same campaign doesn't."""
    days: list[Moment] = [("v", 0, "1", None), ("v", MINUTE, "2", None)]
    named: list[Moment] = [
        ("v", 0, "1", None),
        ("v", MINUTE, "1", "spring"),
        ("v", 2 * MINUTE, "1", None),
        ("v", 3 * MINUTE, "1", "spring"),
        ("v", 4 * MINUTE, "1", "sale"),
    ]
    assert len(set(_cut(SessionRules(), days))) == len(set(_cut(SessionRules(), named))) == 1
    assert len(set(_cut(SessionRules(at_midnight=True), days))) == 2
    found = _cut(SessionRules(on_campaign=True), named)
    assert [int(s.split(".")[1]) // MINUTE for s in found] == [0, 1, 1, 1, 4]


@pytest.mark.parametrize(("expiry", "hours"), [(0, 24), (1_441, 24), (30, 0), (30, 169)])
def test_rules_that_cant_be_are_refused(expiry: int, hours: int) -> None:
    """The limit that is broken is named."""
    name = "max_hours" if expiry == 30 else "expiry_minutes"
    with pytest.raises(InvalidSettingError, match=name):
        SessionRules(expiry_minutes=expiry, max_hours=hours)
