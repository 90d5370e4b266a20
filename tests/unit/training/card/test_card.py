"""The card's page and JSON, from made-up evaluations."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.support.scored import made_up_churn, made_up_scores
from tests.support.tiny_bundle import make_tiny_store
from training.card import Card, Part, Portrait, render_card, write_card
from training.card.segments import numbers_html
from training.churn.judging import ChurnEvaluation
from training.drift import Shift
from training.evaluation import Evaluation, evaluate
from training.evaluation.segments import SegmentRow, Share
from training.population import DayCounts, FunnelCounts, ImportCounts, Population

# As the linter's report writes itself into a bundle's training record.
LINT = {
    "looked_at": "9 days",
    "checked": {"own-rows": {"question": "Is it fitted on its own rows?", "severity": "error"}},
    "findings": [
        {"check": "own-rows", "severity": "error", "subject": "x<y", "evidence": "AUC 0.9",
         "numbers": {"auc": 0.9}, "advice": "Fit it elsewhere.", "acknowledged": True}
    ],
    "skipped": {"split": "one day"},
    "figures": {"shuffled": {"roc_auc": 0.5012}},
}  # fmt: skip


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """A made-up shop's evaluation."""
    return evaluate(made_up_scores(1_500), bootstrap=60)


@pytest.fixture(scope="module")
def churn() -> ChurnEvaluation:
    """Made-up customers at three cuts."""
    return made_up_churn()


def test_files_are_strict_and_repeatable(evaluation: Evaluation, tmp_path: Path) -> None:
    """JSON without NaN and a page, both the same when written again; all of it needs no bundle."""
    card = Card("backtest", visits=evaluation)
    page = write_card(card, tmp_path / "out")
    assert page == tmp_path / "out" / "card.html"
    text = (tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8")
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} isn't JSON"))
    assert plain == evaluation.to_dict() | {"notes": []}
    assert page.read_text(encoding="utf-8") == render_card(card)


def test_page_is_self_contained(evaluation: Evaluation) -> None:
    """It holds Plotly once, an escaped title, every plot under a name of its own, no address."""
    html = render_card(Card("shop <latest>", visits=evaluation))
    assert html.count("<title>shop &lt;latest&gt;</title>") == 1
    body = html.split("</head>")[1]
    names = re.findall(r'id="(plot-[^"]+)"', body)
    assert len(names) == len(set(names)) == body.count("Plotly.newPlot(")
    assert {"plot-pr-auc", "plot-money", "plot-reliability-5", "plot-precision-recall-all"} <= {
        *names
    }
    assert not re.search(r"<(script|img)[^>]+src=|<link[^>]+href='(?!data:)", html)
    assert not re.search(r"https?://", body)


def test_every_row_is_in_the_tables(evaluation: Evaluation) -> None:
    """Metrics of model and baselines, the floor of the calibration error, and intervals."""
    html = render_card(Card("t", visits=evaluation))
    for row in evaluation.rows:
        assert f"{row.model.metrics.pr_auc:.3f}<br>" in html
        assert f"<td>{row.model.ece_floor.mean:.4f}</td>" in html
        bounds = row.intervals.calibration_slope
        assert f"[{bounds.low:.2f}, {bounds.high:.2f}]" in html


def test_what_is_known_besides_is_shown(evaluation: Evaluation, tmp_path: Path) -> None:
    """Days, import, funnel, segments, portraits, drift, leaks, notes: a part each, none without."""
    nobody = Share(0, 0.0, None)
    segments = (SegmentRow("audience", "nobody", nobody, nobody, nobody),)
    day = DayCounts(date(2024, 5, 1), 9_000, 800, 700, 20)
    funnel = FunnelCounts(None, (800, 400, 100, 50, 30, 20))
    shift = Shift("n_events", 0.3, (1.0, 2.0), (0.3, 0.3, 0.4, 0.0), (0.1, 0.2, 0.7, 0.0))
    card = Card(
        "t",
        visits=replace(evaluation, segments=segments),
        bundle=make_tiny_store(tmp_path).model_copy(update={"training": {"leaks": LINT}}),
        population=Population((day,), day.day, (funnel,), 20, 41.5),
        imported=ImportCounts(10, 8, {"repeated": 1}, {"no_id": 1}, {}, None, None, ("a note",)),
        portraits=(Portrait("Bouncers", "One page & out.", 0.4, 0.001),),
        shifts=(shift,),
        score_shift=replace(shift, name="score"),
        notes=("no churn < model",),
        more_parts=(Part("folds", "Day by day", "<section>x</section>"),),
    )
    html = render_card(card)
    for found in (
        "<td>nobody</td><td>audience</td><td>0.0%</td><td>-</td>",
        "One page &amp; out.",
        "40.0% of the visits, 0.10% buy",
        "<td>x&lt;y</td><td>own-rows</td><td>error</td><td>yes</td>",
        "<td class='words'>one day</td><td>skipped</td>",
        "<td>shuffled: roc auc</td><td>0.5012</td>",
        "Leaks were found in training and acknowledged: own-rows.",
        "no churn &lt; model",
        "<td>dropped</td><td class='words'>no id</td>",
        "<td>cart</td><td>100</td><td>12.50%</td><td>25.0%</td><td>300</td>",
        "the mean of 20 orders",
        "Moved since training (PSI above 0.25): 1 of 1",
    ):
        assert found in html
    bare = render_card(Card("t", visits=evaluation))
    for part in ("segments", "funnel", "drift", "leaks", "folds", "not-judged", "limits"):
        assert f"id='{part}'" in html or part == "limits"
        assert f"id='{part}'" not in bare


def test_churn_alone_makes_a_card(churn: ChurnEvaluation, tmp_path: Path) -> None:
    """Verdict, figures and curves of churn; no part speaks of visits."""
    page = write_card(Card("orders", churn=churn), tmp_path)
    html = page.read_text(encoding="utf-8")
    assert "better than recency" in html
    assert "no order within 14 days" in html
    assert all(f"plot-churn-{name}" in html for name in ("cuts", "reliability", "survival"))
    assert "id='quality'" not in html
    assert json.loads((tmp_path / "evaluation.json").read_text())["churn"]["n"] == 600


@pytest.mark.parametrize("n_visitors", [0, 3])
def test_nothing_bought_still_makes_a_card(n_visitors: int) -> None:
    """Without rows or without buyers the page appears and says so."""
    frame = made_up_scores(3)
    frame = frame[frame["visitor_id"].isin([f"v{i}" for i in range(n_visitors)])]
    frame = frame[~frame["converted"]].assign(label=False)
    html = render_card(Card("empty", visits=evaluate(frame, bootstrap=20)))
    assert "nothing to draw" in html
    assert "nothing can be said" in html


def test_a_starters_card_says_so_first(evaluation: Evaluation, tmp_path: Path) -> None:
    """Its head and its limits say that no data of the shop are in it; another bundle's don't."""
    manifest = make_tiny_store(tmp_path)
    marked = manifest.model_copy(update={"starter": True})
    own, starter = (
        render_card(Card("shop", visits=evaluation, bundle=one)) for one in (manifest, marked)
    )
    assert "Starter bundle." not in own
    assert starter.index("Starter bundle.") < starter.index("Conversion.</b>")
    assert "It is of this shop" in own
    assert "It is of this shop" not in starter


def test_the_number_of_clusters_is_explained() -> None:
    """Each number tried has its figures, the chosen one stands out, what lacks is a dash."""
    trials = {
        "2": {"stability": 0.99, "between_weeks": 0.971, "separation": 0.8},
        "3": {"stability": 0.7, "between_weeks": None, "separation": 0.74},
    }
    html = numbers_html(
        {"chosen": 2, "chosen_why": "3 <wobble>", "by_number": trials,
         "least_stability_asked": 0.8, "least_separation_asked": 0.25}
    )  # fmt: skip
    assert "<td><b>2</b></td><td>0.99</td><td>0.97</td><td>0.80</td>" in html
    assert "<td>3</td><td>0.70</td><td>-</td><td>0.74</td>" in html
    assert "3 &lt;wobble&gt;" in html
