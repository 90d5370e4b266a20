"""Clusters are named by what their members do, and names keep their numbers."""

from __future__ import annotations

from training.segments.profiles import FIRST_FREE, ClusterName, Members, name_clusters

NOTHING = {"bounced": 0.0, "looked": 0.0, "carted": 0.0, "checked_out": 0.0}


def members(depth: float, events: float = 5, pages: float = 9, **shares: float) -> Members:
    """Make a cluster's members."""
    return Members(
        values={"n_events": events, "n_page_views": pages},
        shares=NOTHING | shares,
        centroid={"n_events": depth, "n_page_views": depth / 2},
    )


def ids(*clusters: Members, **kept: object) -> list[str]:
    """Name clusters; gives their ids."""
    return [one.id for one in name_clusters(clusters, **kept)]  # type: ignore[arg-type]


def test_the_levels_of_depth() -> None:
    """From one page to the checkout, each is called by what most of it do."""
    found = name_clusters(
        [
            members(2, events=40, checked_out=0.9, carted=0.9, looked=1),
            members(-1, events=2, bounced=0.8),
            members(1, events=25, looked=0.9),
            members(0, events=6, looked=0.6),
        ]
    )
    assert [(one.number, one.id) for one in found] == [
        (4, "checkout"),
        (1, "bouncers"),
        (3, "deep-shoppers"),
        (2, "window-shoppers"),
    ]


def test_carts_without_a_checkout_and_pages_without_products() -> None:
    """A shop may have levels that others lack."""
    found = ids(
        members(1, carted=0.6, checked_out=0.4, looked=1),
        members(0, pages=3),
        members(0.5, events=20, looked=0.3),
    )
    assert found == ["cart-builders", "brief-browsers", "deep-browsers"]


def test_a_profile_needs_half_of_the_members() -> None:
    """A cluster where most do not check out isn't called after those that do."""
    assert ids(members(1, checked_out=0.49, pages=2)) == ["brief-browsers"]
    assert ids(members(1, checked_out=0.5, pages=2)) == ["checkout"]


def test_of_two_that_fit_the_deeper_has_the_name() -> None:
    """The other gets the next name that is true of it."""
    assert ids(members(0, checked_out=0.6, carted=0.7), members(2, checked_out=0.9)) == [
        "cart-builders",
        "checkout",
    ]


def test_what_no_profile_fits_is_described() -> None:
    """No name is forced: the features that set it apart and their medians stand for it."""
    (found,) = name_clusters([members(1.5, events=12, pages=30)])
    assert found.number == FIRST_FREE
    assert found.id == f"group-{FIRST_FREE}"
    assert found.name == "High n_events and high n_page_views"
    assert "n_events 12, n_page_views 30" in found.meaning


def test_kept_names_stay_and_are_not_given_twice() -> None:
    """A cluster that is the same as before keeps its name, a new one gets another."""
    before = ClusterName(1, "bouncers", "Bouncers", "")
    found = name_clusters([members(0, pages=2), members(1, bounced=1, pages=2)], {0: before})
    assert found[0] == before
    assert found[1].id == "brief-browsers"


def test_free_numbers_are_never_used_again() -> None:
    """A number that an earlier cluster had is not the next one's."""
    odd = members(1)
    assert ids(odd, used_before={FIRST_FREE, FIRST_FREE + 2}) == [f"group-{FIRST_FREE + 1}"]
    assert ids(odd, members(0), used_before={FIRST_FREE}) == [
        f"group-{FIRST_FREE + 1}",
        f"group-{FIRST_FREE + 2}",
    ]
