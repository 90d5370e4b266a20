"""The live figures as one self-contained page: are the scores still what the bundle promised?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import isfinite
from pathlib import Path
from typing import Final

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from training.card.drift import bins_chart, psi_chart, score_chart
from training.card.figures import (
    BASE_RATE_COLOUR,
    KINDS,
    MODEL_COLOUR,
    SMALL_HEIGHT,
    blank_figure,
    legend,
    level,
    plot_html,
)
from training.card.parts import Part, bullets, keys, many, pair, section, table
from training.card.style import STYLE
from training.drift import Shift
from training.drift.psi import SHIFTED
from training.monitor.judge import (
    CALIBRATION,
    LEAST_BUYERS,
    LOG_LOSS,
    PR_AUC,
    Judged,
    LiveRow,
    OwnFigures,
)
from training.monitor.run import LiveReport

_TOP: Final = 20
_SHOWN: Final = 6
_ONE_COLUMN: Final = "main { max-width: 1400px; margin: 0 auto; padding: 24px 14px; }"
_NAMES: Final = {
    PR_AUC: "PR-AUC",
    LOG_LOSS: "log loss",
    CALIBRATION: "predicted over observed",
}
_LIVE: Final[dict[str, Callable[[LiveRow], float]]] = {
    PR_AUC: lambda row: row.live.pr_auc,
    LOG_LOSS: lambda row: row.live.log_loss,
    CALIBRATION: lambda row: row.live.predicted_over_observed,
}
_OWN: Final[dict[str, Callable[[OwnFigures], float]]] = {
    PR_AUC: lambda own: own.pr_auc,
    LOG_LOSS: lambda own: own.log_loss,
    CALIBRATION: lambda own: own.calibration_ratio,
}


def write_page(path: Path, report: LiveReport) -> None:
    """Write the page; the same report gives the same bytes."""
    path.write_text(render_page(report), encoding="utf-8")


def render_page(report: LiveReport) -> str:
    """Compose the page's HTML, which carries Plotly's code and needs no network."""
    title = f"Live scores of {report.tag}"
    parts = [_summary(report), _figures(report), _over_time(report), _drift(report)]
    body = "".join(part.render() for part in parts if part is not None)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<link rel='icon' href='data:,'>"
        f"<title>{escape(title)}</title><style>{STYLE}{_ONE_COLUMN}</style>"
        f"<script>{get_plotlyjs()}</script></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def verdict(report: LiveReport) -> str:
    """Say in a sentence how the bundle does."""
    if report.degraded:
        which = ", ".join(
            f"{_NAMES[one.name]} after {k} events ({one.live:.3g}, own {one.own:.3g})"
            for k, one in report.dropped
        )
        return f"Dropped below the bundle's own figures: {which}."
    if not report.judged:
        return "Not judged: too few orders are known so far."
    return f"No figure has dropped below the bundle's own; {len(report.judged)} are judged."


def _summary(report: LiveReport) -> Part:
    tiles = [
        (f"{count:,}", name.replace("_", " "))
        for name, count in (
            *((f"scores {state}", count) for state, count in report.scores.items()),
            *((f"orders {outcome}", count) for outcome, count in report.orders.items()),
        )
    ]
    boxes = "".join(
        f"<div class='tile'><b>{value}</b><span>{name}</span></div>" for value, name in tiles
    )
    warn = " warn" if report.degraded else ""
    others = bullets(
        f"{count:,} scores of {escape(tag)} are not judged here"
        for tag, count in report.others.items()
    )
    return Part(
        "summary",
        "Verdict",
        f"<section class='{warn.strip()}'><p class='verdict'>{escape(verdict(report))}</p>"
        "<p>A score is settled once its visit is over and orders had time to be told. Only"
        " settled ones are judged; those of sessions of which the log lacks events are left out."
        f"</p></section><div class='tiles'>{boxes}</div>{others if report.others else ''}",
    )


def _figures(report: LiveReport) -> Part | None:
    if report.last is None:
        return None
    rows = [
        (
            f"after {row.k}",
            f"{row.n:,}",
            f"{row.buyers:,}",
            *(_cell(row, name) for name in _NAMES),
            f"{row.live.calibration_slope:.3f}" if isfinite(row.live.calibration_slope) else "none",
            f"{row.live.ece:.4f}" if isfinite(row.live.ece) else "none",
        )
        for row in report.last.rows
    ]
    headings = ("events seen", "visits", "with an order", *_NAMES.values(), "slope", "ECE")
    text = (
        f"The {report.days} days up to {report.last.last}. Below each live figure the bundle's own"
        " and, where orders are enough, the limit beyond which chance doesn't explain the"
        " difference."
    )
    return Part("figures", "Live figures", section("", text, table(headings, rows)))


def _cell(row: LiveRow, name: str) -> str:
    live = _LIVE[name](row)
    shown = f"{live:.4g}" if isfinite(live) else "none"
    judged = next((one for one in row.judged if one.name == name), None)
    if judged is None:
        return shown
    mark = "<b>dropped</b> " if judged.dropped else ""
    return f"{mark}{shown}<br><span class='muted'>{judged.own:.4g}, {_limit(judged)}</span>"


def _limit(one: Judged) -> str:
    if one.name == PR_AUC:
        return f"at least {one.low:.3g}"
    if one.name == LOG_LOSS:
        return f"at most {one.high:.3g}"
    return f"{one.low:.3g} to {one.high:.3g}"


def _over_time(report: LiveReport) -> Part | None:
    if not report.windows:
        return None
    plots = [
        (
            name.capitalize() if key != PR_AUC else name,
            plot_html(_chart(report, key), f"time-{key}"),
        )
        for key, name in _NAMES.items()
    ]
    text = (
        f"Each point is a window of {report.days} days that ends there, with {LEAST_BUYERS} orders"
        " or more. Dotted: the bundle's own figure after so many events."
    )
    return Part("over-time", "Day by day", section("", text, pair(*plots)))


def _chart(report: LiveReport, name: str) -> go.Figure:
    figure = blank_figure()
    ks = sorted({row.k for window in report.windows for row in window.rows})
    for k, colour in zip(ks, KINDS, strict=False):
        points = [
            (window.last.isoformat(), _LIVE[name](row), row)
            for window in report.windows
            for row in window.rows
            if row.k == k and row.buyers >= LEAST_BUYERS and isfinite(_LIVE[name](row))
        ]
        if not points:
            continue
        figure.add_scatter(
            x=[day for day, _, _ in points],
            y=[value for _, value, _ in points],
            name=f"after {k}",
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"color": colour, "size": 6},
            text=[f"{row.buyers:,} of {row.n:,} visits" for _, _, row in points],
            hovertemplate="%{x}: %{y:.4g}<br>%{text}<extra>after " + str(k) + "</extra>",
        )
        own = _OWN[name](points[-1][2].own)
        figure.add_scatter(
            x=[points[0][0], points[-1][0]],
            y=[own, own],
            mode="lines",
            line={"color": colour, "width": 1, "dash": "dot"},
            showlegend=False,
            hoverinfo="skip",
        )
    if name == CALIBRATION:
        level(figure, 1.0)
    legend(figure)
    figure.update_xaxes(type="date", tickformat="%-d %b", nticks=8)
    return figure


def _drift(report: LiveReport) -> Part | None:
    plots: list[tuple[str, str]] = []
    if report.shifts:
        plots.append(
            ("Features that moved most", plot_html(psi_chart(report.shifts[:_TOP]), "psi"))
        )
    if report.score_shift is not None:
        chart = plot_html(score_chart(report.score_shift), "score-shift")
        plots.append((f"Score: PSI {report.score_shift.psi:.3f}", chart))
    if not plots:
        return None
    moved = sum(one.psi > SHIFTED for one in report.shifts)
    text = (
        f"Of {report.vectors:,} logged vectors of the last {report.days} days, {moved} of"
        f" {len(report.shifts)} features have a PSI above {SHIFTED} against the bundle's training."
        if report.shifts
        else "No feature vectors are logged (setting log_features)."
    )
    return Part(
        "drift",
        "Have the data moved since training?",
        section("", text, pair(*plots), *_bins(report.shifts[:_SHOWN])),
    )


def _bins(shifts: Sequence[Shift]) -> list[str]:
    if not shifts:
        return []
    return [
        keys(("training", BASE_RATE_COLOUR), ("served", MODEL_COLOUR)),
        many(
            (
                f"{escape(one.name)}<br><span class='muted'>PSI {one.psi:.2f}</span>",
                plot_html(bins_chart(one, SMALL_HEIGHT), f"shift-{one.name}"),
            )
            for one in shifts
        ),
    ]
