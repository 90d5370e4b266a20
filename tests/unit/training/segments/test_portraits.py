"""Portraits: figures by hand, sentences that say what the figures say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micromoment.events.vocabulary import DeviceType, PageType
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from tests.support.bundles import bundle_parts
from tests.support.scored_points import scored_rows
from tests.support.segments import audience, audience_file, two_clusters
from training.publishing.bundle import write_bundle
from training.segments.narrative import MIN_VISITS, percent, tell
from training.segments.portraits import (
    _SCORE,
    PORTRAITS_FILE,
    Figures,
    figures_of,
    portraits_of,
    portray,
    write_portraits,
)
from training.segments.visits import visits_of

NOBODY, SEARCHERS = "nobody", "searchers"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> LoadedBundle:
    """A bundle with two clusters and two audiences, in EUR."""
    folder = tmp_path_factory.mktemp("portrayed") / "bundle"
    audiences = audience_file(
        audience(0, SEARCHERS, "n_searches >= 1.0"), audience(1, NOBODY, "false")
    )
    write_bundle(folder, bundle_parts(clusters=two_clusters(), audiences=audiences))
    return load_bundle(folder)


def a_shop(copies: int = 40) -> pd.DataFrame:
    """Make visits of two kinds, three of few events and one deep that searches and may buy."""
    rows: list[dict[str, Any]] = []
    for copy in range(copies):
        for n in range(3):
            rows.append(  # noqa: PERF401 - beside the other kind
                {"session": f"few-{copy}-{n}", "cluster": "few", "n_events": 2, "n_page_views": 1,
                 "duration_s": 5, "landing_page_type": PageType.HOME, "device": DeviceType.MOBILE,
                 "median_view_price": np.nan, "user_prior_sessions": 0}
            )  # fmt: skip
        rows.append(
            {"session": f"deep-{copy}", "cluster": "many", "audiences": [SEARCHERS],
             "n_events": 20 + copy % 2, "n_page_views": 9, "n_searches": 4, "n_item_views": 5,
             "n_list_views": 1, "n_cart_adds": float(copy % 4 == 0), "cart_value": 30,
             "duration_s": 600, "landing_page_type": PageType.HOME, "device": DeviceType.DESKTOP,
             "median_view_price": 10 + copy % 4, "user_prior_sessions": copy % 2,
             "label": copy % 4 == 0}
        )  # fmt: skip
    return visits_of(scored_rows(*rows), ["few", "many"], [SEARCHERS, NOBODY])


def test_figures_are_those_of_the_visits() -> None:
    """Medians, shares, quartiles and the commonest path, counted by hand."""
    found = figures_of(a_shop(), "EUR")
    assert found.n == 160
    assert found.conversion == pytest.approx(10 / 160, abs=1e-6)
    assert found.typical["events"] == 2
    assert found.mean["searches"] == 1
    assert found.mean["minutes"] == pytest.approx((3 * 5 + 600) / 4 / 60, abs=1e-4)
    assert (found.carted, found.cart_value) == (10 / 160, 30)
    assert found.prices == (10.75, 11.5, 12.25)
    assert found.priced == 40
    assert found.returning == 20 / 160
    assert found.device == {"desktop": 0.25, "mobile": 0.75}
    assert found.source == {}
    assert (found.path, found.path_share) == (("home", "leave"), 0.75)


def test_a_bundle_s_segments_are_portrayed(bundle: LoadedBundle) -> None:
    """Clusters by where visits end, audiences by having been there; all with their sizes."""
    few, many, searchers, nobody = portray(a_shop(), bundle)
    assert [few.visits, many.visits, searchers.visits, nobody.visits] == [120, 40, 40, 0]
    assert (few.kind, few.name, few.share) == ("cluster", "Few events", 0.75)
    assert (searchers.kind, searchers.points, searchers.conversion) == ("audience", 0.25, 0.25)
    assert (nobody.conversion, nobody.figures) == (None, None)
    assert nobody.text == "None of the 160 visits was in it."
    assert few.text == (
        "75 % of the visits end here; none of these 120 buys. The typical one has 2 events and 1"
        " page within 5 seconds. The commonest path (100 %): lands on the home page, leaves."
        " Compared with all visits: more are on a phone (100 % against 75 %) and fewer have been"
        " here before (0 % against 12 %)."
    )
    assert many.text == (
        "25 % of the visits end here; 25 % of these buy, 4 times the share of all visits (6.2 %)."
        " The typical one has 20 events, 9 pages and 5 looks at products over 10 minutes; 25 % put"
        " something into the cart, then worth 30 EUR (median). The commonest path (75 %):"
        " lands on the home page, looks at lists of products, searches, looks at products (5 times"
        " in all), leaves. Compared with all visits: 4 times as many looks at products (5 a visit"
        " against 1.2), 4 times as many searches (4 a visit against 1) and the middle half of"
        " prices looked at is 11 to 12 EUR (against 11 to 12 EUR)."
    )


def test_the_order_of_visits_does_not_matter(bundle: LoadedBundle) -> None:
    """Parts come as sessions are hashed; the same visits give the same portraits."""
    visits = a_shop()
    shuffled = visits.sample(frac=1, random_state=3).reset_index(drop=True)
    assert portray(shuffled, bundle) == portray(visits, bundle)
    assert portray(visits.iloc[:0], bundle) == []


def test_what_the_model_was_trained_on_flatters_it() -> None:
    """A rule over a score says so at training; one that only names a limit like it doesn't."""
    assert _SCORE.search("conversion >= 0.2")
    assert _SCORE.search("!(abandonment < limits.x)")
    assert _SCORE.search("churn > 0.5")
    assert not _SCORE.search('lifecycle == "churned"')
    assert not _SCORE.search("n_events >= limits.conversion || cart_conversion > 1.0")


def test_few_visits_are_counted_and_not_described(bundle: LoadedBundle) -> None:
    """Medians of a handful would be an accident."""
    searchers = portray(a_shop(MIN_VISITS - 1), bundle)[2]
    assert searchers.text.endswith("(29 visits of 116): too few for a portrait.")


def test_what_a_file_keeps_is_read_back(bundle: LoadedBundle, tmp_path: Path) -> None:
    """Word for word; a bundle without the file has none."""
    portraits = portray(a_shop(), bundle)
    assert portraits_of(tmp_path) == []
    write_portraits(tmp_path / PORTRAITS_FILE, portraits)
    assert portraits_of(tmp_path) == portraits
    assert json.loads((tmp_path / PORTRAITS_FILE).read_text())[0]["id"] == "few"


def test_a_bundle_carries_them_and_a_server_takes_it(bundle: LoadedBundle, tmp_path: Path) -> None:
    """They are one of its files, with a digest, and part of its version."""
    portraits = portray(a_shop(), bundle)
    manifest = write_bundle(tmp_path / "bundle", bundle_parts(portraits=portraits))
    assert PORTRAITS_FILE in manifest.files
    assert manifest.version != write_bundle(tmp_path / "bare", bundle_parts()).version
    assert load_bundle(tmp_path / "bundle").tag == manifest.tag
    assert portraits_of(tmp_path / "bundle") == portraits


def told(**changes: Any) -> str:  # noqa: ANN401 - fields of several types
    """Tell of a cluster whose visits differ from all visits in what is given."""
    every = figures_of(a_shop(), "EUR")
    return tell("cluster", replace(every, **({"n": 80} | changes)), every)


@pytest.mark.parametrize(
    ("conversion", "words"),
    [
        (0.06, "6.0 % of these buy, about as many as of all visits (6.2 %)"),
        (0.0315, "3.1 % of these buy, half the share of all visits"),
        (0.125, "12 % of these buy, twice the share of all visits"),
        (0.0, "none of these 80 buys"),
        (0.0125, "1 of these 80 buys."),
    ],
)
def test_conversion_is_set_beside_that_of_all_visits(conversion: float, words: str) -> None:
    """In words that hold for the figures."""
    assert words in told(conversion=conversion, n=80 if conversion < 0.02 else 800)


def test_what_is_not_known_is_not_told() -> None:
    """No price, no source, no history, no currency: no word of them."""
    text = told(prices=None, returning=None, device={}, source={})
    for word in ("prices", "been here before", "phone", "against"):
        assert word not in text
    every: Figures = figures_of(a_shop(), "")
    assert "looked at is 11 to 12 (against 11 to 12)." in tell("cluster", every, every)


def test_paths_that_differ_are_said_to() -> None:
    """A commonest path of few visits is not called typical."""
    assert "Paths differ; the commonest (4.0 %)" in told(path_share=0.04)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.00001, "less than 0.01 %"), (0.0043, "0.43 %"), (0.043, "4.3 %"),
     (0.43, "43 %"), (1.0, "100 %")],
)  # fmt: skip
def test_shares_have_two_digits(share: float, text: str) -> None:
    """Small ones are not rounded away."""
    assert percent(share) == text
