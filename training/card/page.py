"""The card as one self-contained HTML page: to be looked at before it is read."""

from __future__ import annotations

from html import escape
from typing import Final

from plotly.offline import get_plotlyjs

from training.card.calibration import calibration_part
from training.card.card import Card
from training.card.choosing import choosing_part
from training.card.drift import drift_part
from training.card.features import features_part
from training.card.funnel import funnel_part
from training.card.lint import lint_part
from training.card.money import money_part
from training.card.parts import Part, bullets, section
from training.card.population import population_part
from training.card.quality import quality_part
from training.card.segments import segments_part
from training.card.style import STYLE
from training.card.summary import limits_part, summary_html
from training.churn.page import churn_sections

# A plot is drawn while the page is still read: what comes later may narrow its place. On paper all
# of them are drawn anew for its width.
_FIT: Final = """
(function () {
  const fit = () => document.querySelectorAll(".js-plotly-plot").forEach(
    (plot) => Plotly.relayout(plot, { autosize: true }));
  const paper = (on) => () => { document.body.classList.toggle("paper", on); fit(); };
  window.addEventListener("load", fit);
  window.addEventListener("beforeprint", paper(true));
  window.addEventListener("afterprint", paper(false));
})();
"""
_SECTIONS: Final = (
    population_part,
    quality_part,
    calibration_part,
    choosing_part,
    money_part,
    features_part,
    segments_part,
    funnel_part,
)


def render_card(card: Card) -> str:
    """Compose the page's HTML, the same for the same card; what isn't known has no part on it."""
    parts = _parts(card)
    contents = "".join(f"<a href='#{one.id}'>{escape(one.title)}</a>" for one in parts)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<link rel='icon' href='data:,'>"
        f"<title>{escape(card.title)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head>"
        f"<body><div class='page'><div class='head'>{summary_html(card)}</div>"
        f"<nav aria-label='Contents'><strong>Model card</strong>{contents}</nav>"
        f"<main>{''.join(one.render() for one in parts)}"
        f"</main></div><script>{_FIT}</script></body></html>\n"
    )


def _parts(card: Card) -> list[Part]:
    found = [make(card) for make in _SECTIONS]
    found += [_churn(card), drift_part(card), lint_part(card), *card.more_parts, limits_part(card)]
    found.append(_notes(card))
    return [one for one in found if one is not None]


def _churn(card: Card) -> Part | None:
    if card.churn is None:
        return None
    return Part("churn", "Churn", "".join(churn_sections(card.churn)), heading=False)


def _notes(card: Card) -> Part | None:
    if not card.notes:
        return None
    notes = bullets(escape(text) for text in card.notes)
    return Part("not-judged", "What is not judged", section("", "", notes))
