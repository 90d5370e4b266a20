"""Part: who visits. Clusters in their space, clusters' and audiences' sizes, portraits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import plotly.graph_objects as go

from training.card.card import Card, Portrait
from training.card.figures import INK, KINDS, blank_figure, legend, plot_html
from training.card.parts import Part, section, table
from training.evaluation.segments import SegmentRow
from training.evaluation.table import number, shares
from training.segments.space import ClusterSpace

_SYMBOLS: Final = ("circle", "square", "triangle-up", "cross", "star", "x", "triangle-down")


def segments_part(card: Card) -> Part | None:
    """Compose the part; None where there is neither cluster nor audience."""
    bodies = []
    if card.space is not None:
        bodies.append(_space(card.space))
    quality = card.bundle.training.get("clusters") if card.bundle is not None else None
    if quality:
        bodies.append(numbers_html(quality))
    if card.portraits:
        bodies.append(portraits_html(card.portraits))
    if card.visits is not None and card.visits.segments:
        bodies.append(_sizes(card.visits.segments))
    return Part("segments", "Who visits?", "".join(bodies)) if bodies else None


def _space(space: ClusterSpace) -> str:
    right, up = (_loadings(weights) for weights in space.weights)
    return section(
        "The space of clusters",
        f"{len(space.points):,} decision points of the evaluated days, by what the visit did so"
        " far, seen from the side where they lie widest apart (two principal components of the"
        f" clusters' dimensions). To the right: {right}. Upwards: {up}. Large marks are the"
        " clusters' centres; clusters that touch here may be apart in other directions.",
        plot_html(space_chart(space), "space", "Decision points coloured by cluster"),
    )


def _loadings(weights: Mapping[str, float]) -> str:
    most = max(abs(weight) for weight in weights.values())
    strong = sorted(weights.items(), key=lambda item: -abs(item[1]))[:4]
    words = [
        f"{'more' if weight > 0 else 'less'} <code>{escape(name)}</code>"
        for name, weight in strong
        if abs(weight) >= most / 2
    ]
    return ", ".join(words)


def space_chart(space: ClusterSpace) -> go.Figure:
    """Points on two principal components, coloured by cluster, with the centroids."""
    figure = blank_figure(520)
    legend(figure)
    for place, name in enumerate(space.names):
        own = space.points[space.cluster == place]
        colour = KINDS[place % len(KINDS)]
        symbol = _SYMBOLS[place % len(_SYMBOLS)]
        figure.add_scatter(
            x=own[:, 0].round(3).tolist(),
            y=own[:, 1].round(3).tolist(),
            name=name,
            legendgroup=name,
            mode="markers",
            marker={"color": colour, "size": 5, "opacity": 0.45, "symbol": symbol},
            hovertemplate=f"{escape(name)}<extra></extra>",
        )
        figure.add_scatter(
            x=[float(space.centroids[place, 0])],
            y=[float(space.centroids[place, 1])],
            legendgroup=name,
            showlegend=False,
            mode="markers",
            marker={
                "color": colour,
                "size": 17,
                "symbol": symbol,
                "line": {"color": INK, "width": 2},
            },
            hovertemplate=f"centre of {escape(name)}<extra></extra>",
        )
    first, second = space.explained
    figure.update_xaxes(title=f"first component ({first:.0%} of the variance)")
    figure.update_yaxes(title=f"second component ({second:.0%})")
    figure.update_layout(legend={"traceorder": "normal", "itemsizing": "constant"})
    return figure


def numbers_html(quality: Mapping[str, Any]) -> str:
    """Compose the table of how well so many clusters hold, as training measured it."""
    rows = [
        (
            f"<b>{k}</b>" if int(k) == quality["chosen"] else k,
            number(trial["stability"], 2),
            "-" if trial["between_weeks"] is None else number(trial["between_weeks"], 2),
            number(trial["separation"], 2),
        )
        for k, trial in quality["by_number"].items()
    ]
    return section(
        "Why so many clusters",
        f"{escape(quality['chosen_why'])}. Agreement is the adjusted Rand index: 1 says that the"
        " same visits are together, 0 that it is chance. Asked of each number:"
        f" {quality['least_stability_asked']} of agreement, {quality['least_separation_asked']} of"
        " separation (silhouette, -1 to 1).",
        table(("clusters", "agreement of draws of visits", "of weeks", "separation"), rows),
    )


def portraits_html(portraits: Sequence[Portrait]) -> str:
    """Compose the portraits of clusters and audiences, a box each."""
    boxes = "".join(
        f"<div><strong>{escape(one.name)}</strong>"
        f"<br><span class='muted'>{_size(one)}</span><p>{_together(one.text)}</p></div>"
        for one in portraits
    )
    return section("Portraits", "", f"<div class='portraits'>{boxes}</div>")


def _together(text: str) -> str:
    """Escape a text and keep its numbers and their per cent on one line."""
    return escape(text).replace(" %", "&nbsp;%")


def _size(one: Portrait) -> str:
    parts = []
    if one.share is not None:
        parts.append(f"{one.share:.1%} of the visits")
    if one.conversion is not None:
        parts.append(f"{one.conversion:.2%} buy")
    return ", ".join(parts)


def _sizes(rows: Sequence[SegmentRow]) -> str:
    headings = ("", "kind", "points", "buy", "visits", "buy", "at the end", "buy")
    return section(
        "Clusters and audiences",
        "Share of the decision points before an order, of visits that were in it at any of these,"
        " and of visits that were in it at the last; beside each, how many buy. A visit is in one"
        " cluster at a time and in any number of audiences.",
        table(headings, ([escape(row.id), row.kind, *shares(row)] for row in rows)),
    )
