"""Snapshots agree with a plain reference, whatever happened."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.happenings import Happening, moment
from tests.support.snapshot_reference import Row, reference_rows
from tests.support.snapshots import BERLIN, build, days, rows_of

# Days before the first cut at which something enters or leaves a window, and days around it.
DISTANCES = st.one_of(
    st.sampled_from([28, 29, 30, 31, 56, 57, 58, 364, 365, 366, 367, 700, 1000, 1001]),
    st.integers(-4, 8),
)
FIRST_CUT = 400
KINDS = (
    *("page_view", "item_view", "cart_add", "checkout_start", "payment_info", "coupon_apply"),
    *("purchase", "purchase", "purchase", "purchase", "refund", "cancel"),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    """Draw up to 20 events of three visitors, most at the edges of the windows of some cut."""
    places = st.tuples(DISTANCES, st.integers(0, 24 * 12 - 1))
    moments = [
        (FIRST_CUT - distance, place)
        for distance, place in draw(st.lists(places, min_size=1, max_size=20))
    ]
    kinds = st.sampled_from(KINDS)
    happenings = []
    for day, place in sorted(moments):
        kind = draw(kinds)
        happenings.append(
            Happening(
                moment(days(day), shop=BERLIN) + timedelta(minutes=5 * place - 12 * 60),
                user_id=draw(st.sampled_from([None, None, "u", ""])),
                anonymous_id=draw(st.sampled_from(["a", "a", "b", None])),
                type=kind,
                session_id=draw(st.sampled_from(["s1", "s2", "s3", ""])),
                order_id=draw(st.sampled_from([None, "o1", "o1", "o2", "o3", "o4"])),
                value_micros=draw(st.sampled_from([None, 1_000_000, 5_000_000])),
                currency=draw(st.sampled_from([None, None, "EUR", "USD"])),
                on_sale=draw(st.sampled_from([None, False, True])),
                engagement_ms=draw(st.sampled_from([None, None, 0, 1_500])),
                is_bot=draw(st.sampled_from([None, None, None, False, True])),
                consent_analytics=draw(st.sampled_from([None, None, "granted", "denied"])),
            )
        )
    return happenings


@settings(max_examples=50, deadline=None)
@given(histories(), st.integers(0, 3))
def test_snapshots_agree_with_the_definitions(happenings: list[Happening], more: int) -> None:
    """Each row equals the plain reference; where there is none, the visitor's last one holds."""
    with TemporaryDirectory() as folder:
        build(Path(folder), happenings, FIRST_CUT, FIRST_CUT + more)
        newest: dict[str, Row] = {}
        for day in range(FIRST_CUT, FIRST_CUT + more + 1):
            written = rows_of(Path(folder), day)
            expected = reference_rows(happenings, days(day), BERLIN)
            assert all(row == expected[visitor] for visitor, row in written.items())
            newest.update(written)
            assert {visitor: {**row, "snapshot_time": 0} for visitor, row in newest.items()} == {
                visitor: {**row, "snapshot_time": 0} for visitor, row in expected.items()
            }
