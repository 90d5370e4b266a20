"""The page's building blocks: parts with a heading, tables, pairs and multiples of plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from training.evaluation import EvaluationRow


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the page: `id` is its anchor, `title` its name in the contents.

    `html` holds `section` elements; it brings its own heading unless `heading`.
    """

    id: str
    title: str
    html: str
    heading: bool = True

    def render(self) -> str:
        """Give the part's HTML."""
        heading = f"<h2>{escape(self.title)}</h2>" if self.heading else ""
        return f"<div class='part' id='{self.id}'>{heading}{self.html}</div>"


def section(title: str, text: str, *bodies: str) -> str:
    """Compose a box with a heading, a paragraph (HTML) and what follows."""
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    paragraph = f"<p>{text}</p>" if text else ""
    return f"<section>{heading}{paragraph}{''.join(bodies)}</section>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = ()) -> str:
    """Compose a table that scrolls sideways; cells are HTML, columns `words` hold text."""
    classes = [" class='words'" if place in words else "" for place in range(len(headings))]
    head = "".join(f"<th{c}>{h}</th>" for h, c in zip(headings, classes, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{c}>{x}</td>" for x, c in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        "<div class='scroll' tabindex='0'><table><thead><tr>"
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def pair(*plots: tuple[str, str]) -> str:
    """Set plots (heading, HTML) beside each other, two in a row where there is room."""
    return f"<div class='pair'>{_figures(plots)}</div>"


def three(*plots: tuple[str, str]) -> str:
    """Set plots (heading, HTML) beside each other, three in a row where there is room."""
    return f"<div class='pair three'>{_figures(plots)}</div>"


def many(plots: Iterable[tuple[str, str]]) -> str:
    """Set small plots (heading as HTML, HTML) in rows."""
    return f"<div class='many'>{_figures(plots)}</div>"


def keys(*names: tuple[str, str]) -> str:
    """Explain colours: names with their colour."""
    marks = "".join(
        f"<span class='key'><i style='background:{colour}'></i>{escape(name)}</span>"
        for name, colour in names
    )
    return f"<p class='keys'>{marks}</p>"


def bullets(items: Iterable[str]) -> str:
    """Compose a list; items are HTML."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def both(model: str, baseline: str) -> str:
    """Put the baseline's figure below the model's, in grey."""
    return f"{model}<br><span class='muted'>{baseline}</span>"


def after(row: EvaluationRow) -> str:
    """Say which decision points a row is of."""
    if row.k is None:
        return "all points"
    return "after 1 event" if row.k == 1 else f"after {row.k} events"


def row_heading(row: EvaluationRow) -> str:
    """Head a small plot: after how many events, how many buy."""
    return f"{after(row)}<br><span class='muted'>{row.buyers:,} of {row.n:,} buy</span>"


def _figures(plots: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><h4>{heading}</h4>{html}</div>" for heading, html in plots)
