"""Part: what the model goes by. Gain, SHAP, and how single features move the score."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from micromoment.features.catalogue import FEATURE_FAMILIES, SESSION_FEATURES
from training.card.card import Card
from training.card.figures import (
    AMBER,
    BASE_RATE_COLOUR,
    GREEN,
    MODEL_COLOUR,
    SMALL_HEIGHT,
    blank_figure,
    level,
    plot_html,
)
from training.card.parts import Part, many, pair, section, table
from training.models.importance import FeatureImportance

_TOP: Final = 20
_SWARMS: Final = 12
_DEPENDENCES: Final = 6
_POINTS: Final = 300  # of a feature in a plot of points
_SPECS: Final = {spec.name: spec for spec in SESSION_FEATURES}

FloatArray = npt.NDArray[np.float64]


def features_part(card: Card) -> Part | None:
    """Compose the part; None where the model could not be explained."""
    found = card.importance
    if found is None or not len(found.contributions):
        return None
    return Part("features", "What does it go by?", _overview(found) + _single(found))


def _overview(found: FeatureImportance) -> str:
    top = found.strongest(_TOP)
    return section(
        "Features and families",
        f"SHAP splits each score, in log-odds, into what each feature adds to or takes from it; the"
        f" bars are its mean size over {len(found.values):,} decision points of the evaluated days."
        " Gain is the share of the loss that splits on the feature took away in training. Features"
        " that tell the same share it between them. A large contribution is no cause: it says what"
        " the model uses.",
        pair(
            ("Mean size of the contribution", plot_html(size_chart(found, top), "shap")),
            ("Gain in training", plot_html(gain_chart(found, top), "feature-gain")),
        ),
        "<h4>By family</h4>",
        plot_html(family_chart(found), "families"),
        "<details><summary>What these features mean</summary>",
        table(
            ("feature", "family", "meaning", "unit", "mean |SHAP|", "gain"),
            (_cells(found, place) for place in top),
            words=(2,),
        ),
        "</details>",
    )


def _cells(found: FeatureImportance, place: int) -> list[str]:
    name = found.names[place]
    spec = _SPECS.get(name)
    return [
        escape(name),
        _family(name),
        escape(spec.meaning) if spec else "",
        escape(spec.unit) if spec else "",
        f"{found.mean_size[place]:.3f}",
        f"{found.gain[place]:.1%}",
    ]


def _single(found: FeatureImportance) -> str:
    top = found.strongest(_SWARMS)
    return section(
        "How values move the score",
        "Each point is a decision point: to the right, the feature raises the score. Dark is a low"
        " value of the feature among these points, yellow a high one, grey a missing one.",
        plot_html(swarm_chart(found, top), "shap-swarm"),
        "<p>The strongest ones by value. Points at one value that lie apart differ in other"
        " features that go with it.</p>",
        many(
            (
                (
                    f"{escape(found.names[place])}<br><span class='muted'>"
                    f"{_meaning(found.names[place])}</span>"
                ),
                plot_html(dependence_chart(found, place), f"dependence-{found.names[place]}"),
            )
            for place in top[:_DEPENDENCES]
        ),
    )


def size_chart(found: FeatureImportance, places: Sequence[int]) -> go.Figure:
    """Mean size of the contributions, the largest on top."""
    figure = _bars(found, places, found.mean_size, "%{x:.3f}", MODEL_COLOUR)
    figure.update_xaxes(title="mean |SHAP| (log-odds)")
    return figure


def gain_chart(found: FeatureImportance, places: Sequence[int]) -> go.Figure:
    """Share of the gain, in the order of the other chart."""
    figure = _bars(found, places, found.gain, "%{x:.1%}", AMBER)
    figure.update_xaxes(title="share of gain", tickformat=".0%")
    return figure


def family_chart(found: FeatureImportance) -> go.Figure:
    """Mean size of families' summed contributions."""
    families = [_family(name) for name in found.names]
    sizes = {
        family: float(
            np.abs(
                found.contributions[:, [i for i, one in enumerate(families) if one == family]].sum(
                    axis=1
                )
            ).mean()
        )
        for family in sorted(set(families))
    }
    order = sorted(sizes, key=lambda family: sizes[family])
    figure = blank_figure(60 + 24 * len(order))
    figure.add_bar(
        x=[sizes[family] for family in order],
        y=order,
        orientation="h",
        marker={"color": GREEN},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure.update_xaxes(title="mean |summed SHAP| (log-odds)")
    figure.update_yaxes(showgrid=False)
    return figure


def _bars(
    found: FeatureImportance, places: Sequence[int], values: FloatArray, number: str, colour: str
) -> go.Figure:
    order = list(reversed(places))
    figure = blank_figure(60 + 20 * len(order))
    figure.add_bar(
        x=[float(values[place]) for place in order],
        y=[found.names[place] for place in order],
        orientation="h",
        marker={"color": colour},
        customdata=[_meaning(found.names[place]) for place in order],
        hovertemplate=f"%{{y}}: {number}<br>%{{customdata}}<extra></extra>",
    )
    figure.update_yaxes(showgrid=False, tickfont={"size": 11}, dtick=1)
    return figure


def swarm_chart(found: FeatureImportance, places: Sequence[int]) -> go.Figure:
    """Contributions as points, a row for each feature, coloured by the value's rank."""
    figure = blank_figure(80 + 38 * len(places))
    at = _sample(len(found.values))
    for line, place in enumerate(reversed(places)):
        values = found.values[at, place].astype(np.float64)
        shap = found.contributions[at, place]
        ranks = _ranks(values)
        for missing in (True, False):
            own = np.isnan(values) == missing
            if not own.any():
                continue
            colours: dict[str, object] = {"color": "#9ca3af"}
            if not missing:
                colours = {"color": ranks[own].round(2).tolist(), "colorscale": "Cividis"}
                colours |= {"cmin": 0, "cmax": 1}
            figure.add_scatter(
                x=shap[own].round(4).tolist(),
                y=(line + _spread(shap)[own]).round(3).tolist(),
                mode="markers",
                marker={"size": 4, "opacity": 0.75, **colours},
                customdata=[f"{value:.4g}" for value in values[own]],
                hovertemplate=f"{found.names[place]} %{{customdata}}: %{{x:+.3f}}<extra></extra>",
            )
    names = [found.names[place] for place in reversed(places)]
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, showgrid=False, tickfont={"size": 11}
    )
    figure.add_vline(x=0, line={"color": BASE_RATE_COLOUR, "width": 1})
    figure.update_xaxes(title="SHAP (log-odds)")
    return figure


def dependence_chart(found: FeatureImportance, place: int) -> go.Figure:
    """One feature's contribution by its value."""
    figure = blank_figure(SMALL_HEIGHT)
    at = _sample(len(found.values))
    values = found.values[at, place].astype(np.float64)
    known = ~np.isnan(values)
    figure.add_scatter(
        x=values[known].round(4).tolist(),
        y=found.contributions[at, place][known].round(4).tolist(),
        mode="markers",
        marker={"size": 5, "opacity": 0.6, "color": MODEL_COLOUR},
        hovertemplate="%{x:.4g}: %{y:+.3f}<extra></extra>",
    )
    level(figure, 0.0)
    spec = _SPECS.get(found.names[place])
    unit = spec.unit if spec else "value"
    missing = float((~known).mean())
    figure.update_xaxes(title=f"{unit}; {missing:.0%} missing" if missing else unit)
    figure.update_yaxes(title="SHAP (log-odds)")
    return figure


def _sample(n: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, n - 1, min(n, _POINTS)).astype(np.int64)


def _ranks(values: FloatArray) -> FloatArray:
    """Give known values their rank in 0..1, equal ones the same."""
    _, place = np.unique(values, return_inverse=True)
    ranks: FloatArray = place / max(int(place.max(initial=0)), 1)
    return ranks


def _spread(shap: FloatArray) -> FloatArray:
    """Give offsets that keep points of about equal contribution apart, in -0.4..0.4."""
    width = float(np.ptp(shap)) or 1.0
    bins = ((shap - shap.min()) / width * 60).astype(np.int64)
    offsets = np.zeros(len(shap))
    for one in np.unique(bins):
        own = np.flatnonzero(bins == one)
        # From the middle outwards, by turns above and below.
        step = (np.arange(len(own)) + 1) // 2 * np.where(np.arange(len(own)) % 2, 1, -1)
        offsets[own] = step * min(0.05, 0.8 / len(own))
    return offsets


def _family(name: str) -> str:
    for family, module in FEATURE_FAMILIES.items():
        if any(spec.name == name for spec in module.FEATURES):
            return family
    return "other"


def _meaning(name: str) -> str:
    spec = _SPECS.get(name)
    return escape(spec.meaning) if spec else ""
