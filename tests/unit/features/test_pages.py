"""Pages seen, by hand."""

from dataclasses import replace
from math import isnan

import pytest

from micromoment.events.vocabulary import EventType, PageType
from tests.support.events import SECOND, START_US, AnEvent, an_event
from tests.support.folding import features_of


def page(number: int, name: str, kind: PageType = PageType.CONTENT) -> AnEvent:
    """Show a page."""
    return an_event(event_id=f"p{number}", page_id=name, page_type=kind)


def test_distinct_and_repeated_pages() -> None:
    """Of /a, /b, /a, /a two are distinct and half are repeated."""
    features = features_of([page(n, name) for n, name in enumerate(("/a", "/b", "/a", "/a"))])
    assert features["n_page_views"] == 4
    assert features["n_distinct_pages"] == 2
    assert features["repeat_page_ratio"] == 0.5


def test_pages_without_an_id_are_not_told_apart() -> None:
    """A page whose id is missing is a page view, neither a distinct page nor a repeated one."""
    features = features_of([page(1, ""), page(2, ""), page(3, "/a")])
    assert features["n_page_views"] == 3
    assert features["n_distinct_pages"] == 1
    assert features["repeat_page_ratio"] == 0


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        ("n_home_pages", PageType.HOME),
        ("n_list_pages", PageType.LIST),
        ("n_item_pages", PageType.ITEM),
        ("n_account_pages", PageType.ACCOUNT),
        ("n_policy_pages", PageType.POLICY),
        ("n_error_pages", PageType.ERROR),
    ],
)
def test_kinds_of_pages(feature: str, kind: PageType) -> None:
    """Two views of a kind are counted under its name, views of other kinds are not."""
    visit = [page(n, "/", other) for n, other in enumerate(PageType) if other is not kind]
    assert features_of(visit)[feature] == 0
    features = features_of([*visit, page(97, "/x", kind), page(98, "/y", kind)])
    assert features[feature] == 2


def test_first_and_last_page() -> None:
    """Landing page and last page keep their kind; events on a page are no page views."""
    visit = [
        page(1, "/", PageType.HOME),
        page(2, "/c", PageType.LIST),
        an_event(event_id="e3", type=EventType.SCROLL, page_type=PageType.CART),
    ]
    features = features_of(visit)
    assert features["landing_page_type"] == PageType.HOME
    assert features["last_page_type"] == PageType.LIST
    assert features["n_page_views"] == 2


def test_no_page() -> None:
    """A visit without a page view has no kinds of pages and no ratios."""
    features = features_of([an_event(type=EventType.SEARCH)])
    for name in ("repeat_page_ratio", "landing_page_type", "last_page_type", "micro_rate",
                 "max_scroll"):  # fmt: skip
        assert isnan(features[name]), name


def test_small_acts() -> None:
    """Scrolls, hovers and expansions per page; dead clicks and replays by themselves."""
    kinds = (EventType.SCROLL, EventType.SCROLL, EventType.HOVER, EventType.EXPAND,
             EventType.DEAD_CLICK, EventType.VIDEO_REPLAY, EventType.VIDEO_REPLAY)  # fmt: skip
    visit = [an_event(event_id=f"e{n}", type=kind) for n, kind in enumerate(kinds)]
    features = features_of([page(1, "/a"), page(2, "/b"), *visit])
    assert features["n_scrolls"] == 2
    assert features["micro_rate"] == 2
    assert features["dead_clicks"] == 1
    assert features["video_replays"] == 2


def test_furthest_scroll() -> None:
    """The furthest scroll is reported by any event; 0 percent is a report, silence is none."""
    visit = [an_event(event_id=f"e{n}", scroll_percent=s) for n, s in enumerate((25.5, 75, 50))]
    assert features_of(visit)["max_scroll"] == 75
    assert features_of([an_event(scroll_percent=0)])["max_scroll"] == 0


def test_bounce_so_far() -> None:
    """One page and 10 s are a bounce so far; a second page, more time or engagement end it."""
    first = page(1, "/a")
    later = an_event(event_id="e2", type=EventType.SCROLL, event_time=START_US + 10 * SECOND)
    engaged = replace(later, event_time=START_US, engagement_ms=10_001)
    assert features_of([first])["is_bounce_so_far"] == 1
    assert features_of([first, later])["is_bounce_so_far"] == 1
    assert features_of([first, later], now=START_US + 10 * SECOND + 1)["is_bounce_so_far"] == 0
    assert features_of([first, engaged])["is_bounce_so_far"] == 0
    assert features_of([first, page(2, "/a")])["is_bounce_so_far"] == 0
