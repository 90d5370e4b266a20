"""An evaluation as one self-contained HTML page: to be looked at before it is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from training.evaluation.charts import (
    BASELINE_COLOUR,
    MODEL_COLOUR,
    lift_chart,
    pr_auc_chart,
    ratio_chart,
    reliability_chart,
)
from training.evaluation.evaluate import Evaluation, EvaluationRow
from training.evaluation.table import interval, number, shares

_CONFIG: Final[dict[str, Any]] = {"displayModeBar": False, "responsive": True}

_STYLE: Final = """
body { margin: 0; background: #f3f4f6; color: #1f2937; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.5rem; margin: 8px 0; }
h2 { font-size: 1.15rem; margin: 0 0 4px; }
h3 { font-size: .95rem; margin: 0; font-weight: 600; }
p { margin: 0 0 10px; max-width: 78ch; }
section { background: #fff; border-radius: 8px; padding: 16px; margin: 14px 0;
  box-shadow: 0 1px 2px #0001; }
.pair { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); }
.many { display: grid; gap: 18px 14px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 270px), 1fr)); }
.many > div, .pair > div { min-width: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid #e5e7eb; font-size: .87rem; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; font-weight: 600; }
.muted { color: #6b7280; font-weight: 400; }
.key { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin: 0 .15em 0 .3em; }
"""  # noqa: E501 - one CSS rule per line reads better


def render_page(
    evaluation: Evaluation | None, title: str, more_sections: Sequence[str] = ()
) -> str:
    """Compose the page's HTML, the same for the same evaluation; more sections come last."""
    sections = [] if evaluation is None else _sections(evaluation, title)
    sections += more_sections
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def plot_html(figure: go.Figure, name: str) -> str:
    """Give a plot's HTML for a page that carries Plotly's code; `name` is its own on the page."""
    html: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=f"plot-{name}"
    )
    return html


def notes(texts: Sequence[str]) -> list[str]:
    """Compose the section that says what could not be judged, if there is anything."""
    if not texts:
        return []
    points = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return [f"<section><h2>What is not judged</h2><ul>{points}</ul></section>"]


def _sections(evaluation: Evaluation, title: str) -> list[str]:
    drawn = [row for row in evaluation.rows if row.buyers]
    sections = [_head(evaluation, title)]
    if drawn:
        sections += [_ranking(evaluation), _reliability(drawn), _lift(drawn)]
    else:
        sections.append("<section><p>No visit bought: there is nothing to draw.</p></section>")
    sections.append(_figures(evaluation))
    if evaluation.segments:
        sections.append(_segments(evaluation))
    return sections


def _head(evaluation: Evaluation, title: str) -> str:
    period = ""
    if evaluation.first_event and evaluation.last_event:
        period = f", {evaluation.first_event[:10]} to {evaluation.last_event[:10]} (UTC)"
    return (
        f"<h1>{escape(title)}</h1><p>{evaluation.events:,} events in {evaluation.sessions:,}"
        f" sessions of {evaluation.visitors:,} visitors{period}. The question at each decision"
        " point: does a purchase follow in this visit? Points from the order confirmation on are"
        " left out.</p>"
    )


def _ranking(evaluation: Evaluation) -> str:
    charts = "".join(
        f"<div><h3>{heading}</h3>{plot_html(chart, name)}</div>"
        for heading, chart, name in (
            ("PR-AUC by events seen", pr_auc_chart(evaluation), "pr-auc"),
            ("Gain over the baseline", ratio_chart(evaluation), "pr-auc-ratio"),
        )
    )
    bars = (
        f" Bars: 95 % intervals over {evaluation.bootstrap} draws of visitors."
        if evaluation.bootstrap
        else ""
    )
    return (
        "<section><h2>Does it find the buyers?</h2><p>PR-AUC is the mean share of buyers among"
        " the highest-scored visits; a score that knows nothing but the number of events reaches"
        " the dotted line. <b>all</b> counts every decision point equally, so long visits weigh"
        f" more.{bars}</p><div class='pair'>{charts}</div></section>"
    )


def _reliability(rows: list[EvaluationRow]) -> str:
    return _multiples(
        "Do the probabilities hold?",
        "Visits in up to 15 groups of equal size by predicted probability; on the dotted diagonal,"
        " as many bought as predicted. Hollow points on the lower edge: none bought. Bars: 95 %"
        " intervals (Wilson).",
        [(row, reliability_chart(row)) for row in rows],
        "reliability",
    )


def _lift(rows: list[EvaluationRow]) -> str:
    return _multiples(
        "What is choosing by score worth?",
        "Among the visits with the highest scores, how many times the average is the share of"
        " buyers? At 1 the choice is as good as a random one.",
        [(row, lift_chart(row)) for row in rows],
        "lift",
    )


def _multiples(
    heading: str, text: str, charts: Iterable[tuple[EvaluationRow, go.Figure]], name: str
) -> str:
    plots = "".join(
        f"<div><h3>{_count(row)} <span class='muted'>{row.buyers:,} of {row.n:,} buy</span>"
        f"</h3>{plot_html(chart, f'{name}-{row.name}')}</div>"
        for row, chart in charts
    )
    keys = f"<p>{_key('model', MODEL_COLOUR)} {_key('logistic baseline', BASELINE_COLOUR)}</p>"
    return (
        f"<section><h2>{heading}</h2><p>{text}</p>{keys}<div class='many'>{plots}</div></section>"
    )


def _key(name: str, colour: str) -> str:
    return f"<span class='key' style='background: {colour}'></span>{name}"


def _count(row: EvaluationRow) -> str:
    if row.k is None:
        return "all points"
    return "after 1 event" if row.k == 1 else f"after {row.k} events"


def _figures(evaluation: Evaluation) -> str:
    headings = (
        "events seen", "n", "buyers", "base rate", "ROC-AUC", "PR-AUC", "95 %", "log loss",
        "base rate's", "ECE", "lift at 10 %", "predicted / observed", "slope",
    )  # fmt: skip
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in evaluation.rows)
    return (
        "<section><h2>Figures</h2><p>Below each of the model's figures, in grey, the logistic"
        " baseline's.</p><div class='scroll'><table><thead><tr>"
        f"{head}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _segments(evaluation: Evaluation) -> str:
    headings = ("", "kind", "points", "buy", "visits", "buy", "at the end", "buy")
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(
        f"<tr><td>{escape(row.id)}</td><td>{row.kind}</td>"
        + "".join(f"<td>{cell}</td>" for cell in shares(row))
        + "</tr>"
        for row in evaluation.segments
    )
    return (
        "<section><h2>Clusters and audiences</h2><p>Share of the decision points before an order,"
        " of visits that were in it at any of these, and of visits that were in it at the last;"
        " beside each, how many buy. A visit is in one cluster at a time and in any number of"
        " audiences.</p><div class='scroll'><table><thead><tr>"
        f"{head}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _cells(row: EvaluationRow) -> str:
    model, baseline, bounds = row.model.metrics, row.baseline.metrics, row.intervals
    cells = [
        row.name,
        f"{row.n:,}",
        f"{row.buyers:,}",
        number(row.base_rate, 4),
        _both(number(model.roc_auc), number(baseline.roc_auc)),
        _both(number(model.pr_auc), number(baseline.pr_auc)),
        _both(interval(bounds.model_pr_auc), interval(bounds.baseline_pr_auc)),
        _both(number(model.log_loss, 4), number(baseline.log_loss, 4)),
        number(row.base_rate_metrics.log_loss, 4),
        _both(number(model.ece, 4), number(baseline.ece, 4)),
        _both(number(model.lift_at_10, 1), number(baseline.lift_at_10, 1)),
        _both(
            number(model.predicted_over_observed, 2), number(baseline.predicted_over_observed, 2)
        ),
        _both(number(model.calibration_slope, 2), number(baseline.calibration_slope, 2)),
    ]
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _both(model: str, baseline: str) -> str:
    return f"{model}<br><span class='muted'>{baseline}</span>"
