"""The model card of the small shop in a real browser, on a desk and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import LAST_DAY, TrainedShop
from tests.support.browser import chromium
from tests.support.scored import made_up_churn
from training.card import Card, write_card
from training.card.money import net_gain
from training.pipeline import CARD_SAMPLE, EvaluateRequest, evaluate_all, gather_card

WIDTHS = {"desk": 1_440, "phone": 390}
PARTS = {
    "population", "quality", "calibration", "choosing", "money", "features", "segments", "funnel",
    "drift", "limits",
}  # fmt: skip
# Marks of every kind of plot on the card: lines, points, bars, steps of the funnel.
MARKS = ".scatterlayer .trace path, .barlayer .trace path, .funnellayer .trace path"


@dataclass
class Seen:
    """The page in the browser, what it complained of and whom it asked."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def card(shop: TrainedShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of the bundle, judged on the day after its training."""
    request = EvaluateRequest(
        shop.bundle, shop.events, LAST_DAY, workers=1, bootstrap=50, sample=CARD_SAMPLE
    )
    folder = tmp_path_factory.mktemp("card")
    return write_card(gather_card(request, evaluate_all(request)), folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module", params=WIDTHS)
def seen(request: pytest.FixtureRequest, card: Path, browser: Browser) -> Iterator[Seen]:
    """The page, opened in a window of each width."""
    page = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 900})
    found = Seen(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda one: found.requests.append(one.url))
    page.goto(card.as_uri())
    page.wait_for_function("document.readyState === 'complete'")
    page.wait_for_timeout(300)  # plots are fitted to their places once more after loading
    yield found
    page.close()


def check_drawn(page: Page, expected: int) -> None:
    """As many plots as expected are on the page, each with marks and a titled axis."""
    drawn = page.evaluate(
        """marks => [...document.querySelectorAll(".js-plotly-plot")].map(plot => ({
            name: plot.id,
            marks: plot.querySelectorAll(marks).length,
            title: plot.querySelector(".xtitle") !== null,
        }))""",
        MARKS,
    )
    assert len(drawn) == expected
    assert [one["name"] for one in drawn if not one["marks"]] == []
    assert [one["name"] for one in drawn if not one["title"]] == []


def test_it_needs_no_network_and_complains_of_nothing(seen: Seen, card: Path) -> None:
    """The file is all that is asked for; the console stays empty."""
    assert [url for url in seen.requests if not url.startswith("data:")] == [card.as_uri()]
    assert seen.complaints == []


def test_every_part_is_there(seen: Seen) -> None:
    """Each part has its anchor and is named in the contents; the verdict comes first."""
    ids = seen.page.eval_on_selector_all(".part", "parts => parts.map(one => one.id)")
    assert set(ids) >= PARTS
    links = seen.page.eval_on_selector_all("nav a", "all => all.map(a => a.hash.slice(1))")
    assert links == ids
    assert "logistic baseline" in seen.page.inner_text(".verdict")


def test_every_plot_drew(seen: Seen, card: Path) -> None:
    """As many plots as the page asks for, each with marks and a titled axis."""
    expected = card.read_text(encoding="utf-8").split("</head>")[1].count("Plotly.newPlot(")
    assert expected > 30
    check_drawn(seen.page, expected)


def test_nothing_sticks_out(seen: Seen) -> None:
    """The page is as wide as the window; every plot lies within the box that it stands in."""
    page = seen.page
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".js-plotly-plot")].filter(plot => {
            const drawn = plot.querySelector(".main-svg").getBoundingClientRect();
            const box = plot.closest(".pair > div, .many > div, section").getBoundingClientRect();
            return drawn.left < box.left - 1 || drawn.right > box.right + 1;
        }).map(plot => plot.id)"""
    )
    assert outside == []


def test_titles_are_not_cut(seen: Seen) -> None:
    """Axis titles and legends fit into their plots."""
    cut = seen.page.evaluate(
        """() => [...document.querySelectorAll(".js-plotly-plot")].filter(plot => {
            const box = plot.querySelector(".main-svg").getBoundingClientRect();
            return [...plot.querySelectorAll(".xtitle, .ytitle, .legend .traces")].some(text => {
                const own = text.getBoundingClientRect();
                return own.left < box.left - 2 || own.right > box.right + 2
                    || own.top < box.top - 2 || own.bottom > box.bottom + 2;
            });
        }).map(plot => plot.id)"""
    )
    assert cut == []


def test_money_follows_the_inputs(seen: Seen, card: Path) -> None:
    """Another cost draws the curve that the same arithmetic gives here, and says what is best."""
    page = seen.page
    page.select_option("#money-row", label="after 5 events")
    page.fill("#money-cost", "0.25")
    page.fill("#money-value", "80")
    page.fill("#money-uplift", "20")
    drawn = page.evaluate("document.getElementById('plot-money').data[2].y")
    values = json.loads((card.parent / "evaluation.json").read_text(encoding="utf-8"))
    row = next(row for row in values["rows"] if row["k"] == 5)
    expected = net_gain(
        np.array(row["model"]["captured"]), row["base_rate"], cost=0.25, value=80.0, uplift=0.2
    )
    assert drawn == pytest.approx(expected.tolist(), abs=0.01)
    assert f"{expected.max():,.2f}" in page.inner_text("#money-result")
    page.fill("#money-cost", "9999")
    assert "does not pay" in page.inner_text("#money-result")


def test_a_card_of_churn_alone_draws(browser: Browser, tmp_path: Path) -> None:
    """A shop of orders has its curves and nothing of visits, on a phone as well."""
    path = write_card(Card("orders", churn=made_up_churn()), tmp_path)
    page = browser.new_page(viewport={"width": WIDTHS["phone"], "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    check_drawn(page, path.read_text(encoding="utf-8").split("</head>")[1].count("Plotly.newPlot("))
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.inner_text(".verdict").startswith("Churn.")
    page.close()
