"""Part: whom the figures are of, what was dropped before, and what the evaluation left out."""

from __future__ import annotations

from datetime import date
from html import escape

import plotly.graph_objects as go

from training.card.card import Card
from training.card.figures import (
    BASE_RATE_COLOUR,
    BASELINE_COLOUR,
    GREEN,
    MODEL_COLOUR,
    blank_figure,
    legend,
    plot_html,
    wilson_bars,
)
from training.card.parts import Part, bullets, keys, pair, section, table
from training.evaluation import Evaluation
from training.population import DayCounts, ImportCounts, Population

_TRAINED, _JUDGED, _UNUSED = "trained on", "evaluated", "neither"
_COLOURS = {_TRAINED: GREEN, _JUDGED: MODEL_COLOUR, _UNUSED: BASE_RATE_COLOUR}


def population_part(card: Card) -> Part | None:
    """Compose the part; None where nothing is known of the data."""
    bodies = []
    if card.population is not None and card.population.days:
        bodies.append(_days(card, card.population))
    if card.imported is not None:
        bodies.append(_import(card.imported))
    if card.visits is not None:
        bodies.append(_judged(card.visits))
    return Part("population", "Whom are the figures of?", "".join(bodies)) if bodies else None


def _days(card: Card, population: Population) -> str:
    uses = {day.day: _use(card, population, day.day) for day in population.days}
    shown = [use for use in _COLOURS if use in uses.values()]
    headings = ("", "days", "events", "visits by day", "visitors by day", "with an order", "share")
    rows = [_sum(use, [day for day in population.days if uses[day.day] == use]) for use in shown]
    return section(
        "Days",
        "All events of the folder by the shop's day. A visit over midnight counts on both days, a"
        " visitor on each day that he comes.",
        keys(*((use, _COLOURS[use]) for use in shown)),
        pair(
            ("Visits", plot_html(_visits_chart(population, uses), "visits-by-day")),
            ("Visits with an order", plot_html(_buyers_chart(population, uses), "buyers-by-day")),
        ),
        table(headings, rows),
    )


def _use(card: Card, population: Population, day: date) -> str:
    if card.bundle is not None:
        first, last = (card.bundle.training.get(name) for name in ("first_day", "last_day"))
        if first and last and str(first) <= day.isoformat() <= str(last):
            return _TRAINED
    return _JUDGED if population.first_day and day >= population.first_day else _UNUSED


def _sum(use: str, days: list[DayCounts]) -> list[str]:
    visits, buyers = sum(day.visits for day in days), sum(day.buyers for day in days)
    return [
        f"{use}<br><span class='muted'>{days[0].day} to {days[-1].day}</span>",
        f"{len(days):,}",
        f"{sum(day.events for day in days):,}",
        f"{visits:,}",
        f"{sum(day.visitors for day in days):,}",
        f"{buyers:,}",
        f"{buyers / visits:.2%}" if visits else "-",
    ]


def _visits_chart(population: Population, uses: dict[date, str]) -> go.Figure:
    figure = blank_figure(300)
    figure.add_bar(
        x=[day.day.isoformat() for day in population.days],
        y=[day.visits for day in population.days],
        marker={"color": [_COLOURS[uses[day.day]] for day in population.days]},
        hovertemplate="%{x}: %{y:,} visits<extra></extra>",
    )
    figure.update_xaxes(title="shop's day", type="date")
    figure.update_yaxes(title="visits")
    return figure


def _buyers_chart(population: Population, uses: dict[date, str]) -> go.Figure:
    figure = blank_figure(300)
    shares = [day.buyers / max(day.visits, 1) for day in population.days]
    figure.add_scatter(
        x=[day.day.isoformat() for day in population.days],
        y=shares,
        error_y=wilson_bars(shares, [day.visits for day in population.days])
        | {"color": BASE_RATE_COLOUR},
        mode="markers",
        marker={"color": [_COLOURS[uses[day.day]] for day in population.days], "size": 8},
        customdata=[day.buyers for day in population.days],
        hovertemplate="%{x}: %{y:.2%}, %{customdata:,} visits<extra></extra>",
    )
    figure.update_xaxes(title="shop's day", type="date")
    figure.update_yaxes(title="share with an order (95 %)", tickformat=".1%", rangemode="tozero")
    return figure


def _import(found: ImportCounts) -> str:
    rows = [["rows read", "", f"{found.rows_read:,}", ""]]
    for kind, counts in (("merged", found.merged), ("dropped", found.dropped)):
        rows += [
            [kind, _words(reason), f"{n:,}", f"{n / max(found.rows_read, 1):.2%}"]
            for reason, n in counts.items()
        ]
    rows.append(["rows kept", "", f"{found.rows_kept:,}",
                 f"{found.rows_kept / max(found.rows_read, 1):.2%}"])  # fmt: skip
    if not found.dropped:
        rows.insert(1, ["dropped", "nothing", "0", "0.00%"])
    bodies = [table(("", "reason", "rows", "share"), rows, words=(1,))]
    if found.cleaned:
        values = [[_words(reason), f"{n:,}"] for reason, n in found.cleaned.items()]
        bodies.append("<details><summary>Values that were cleared, clipped or cut</summary>")
        bodies.append(table(("column and reason", "values"), values))
        bodies.append("</details>")
    if found.notes:
        bodies.append(bullets(escape(note) for note in found.notes))
    span = f", {found.first_day} to {found.last_day}" if found.first_day else ""
    return section("What the import dropped", f"The last import into the folder{span}.", *bodies)


def _judged(evaluation: Evaluation) -> str:
    period = ""
    if evaluation.first_event and evaluation.last_event:
        period = f", {evaluation.first_event[:10]} to {evaluation.last_event[:10]} (UTC)"
    headings = (
        "events seen", "judged", "order follows", "left out: order was placed",
        "left out: confirmation page",
    )  # fmt: skip
    return section(
        "What is judged",
        f"{evaluation.events:,} events in {evaluation.sessions:,} sessions of"
        f" {evaluation.visitors:,} visitors{period}. The question at each decision point: does a"
        " purchase follow in this visit? Points from the order on, and the confirmation page that"
        " may come before it in time, would answer themselves and are left out. So are visits that"
        " began before the first day.",
        plot_html(_points_chart(evaluation), "points", "Decision points by events seen"),
        table(
            headings,
            (
                [
                    row.name,
                    f"{row.n:,}",
                    f"{row.buyers:,}",
                    f"{row.left_converted:,}",
                    f"{row.left_after_order:,}",
                ]
                for row in evaluation.rows
            ),
        ),
    )


def _points_chart(evaluation: Evaluation) -> go.Figure:
    figure = blank_figure(300)
    legend(figure)
    rows = [row for row in evaluation.rows if row.k is not None]
    for name, colour, values in (
        ("judged", MODEL_COLOUR, [row.n for row in rows]),
        ("an order follows", BASELINE_COLOUR, [row.buyers for row in rows]),
    ):
        figure.add_scatter(
            x=[row.name for row in rows],
            y=[value or None for value in values],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 8},
            hovertemplate=f"{name} after %{{x}} events: %{{y:,}}<extra></extra>",
        )
    figure.update_layout(legend={"traceorder": "normal"})
    figure.update_xaxes(title="events seen", type="category")
    figure.update_yaxes(title="visits (log scale)", type="log", dtick=1)
    return figure


def _words(reason: str) -> str:
    return escape(reason.replace("_", " ").replace(".", ": ", 1))
