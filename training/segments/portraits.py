"""Portraits: what the visits of each cluster and audience are like, in figures and plain words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from micromoment.events.vocabulary import DeviceType, ReferrerMedium
from micromoment.scoring.audiences import AudienceRecord
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.clusters import ClusterRecord
from training.evaluation.segments import AUDIENCE, CLUSTER
from training.segments.narrative import tell
from training.segments.visits import points_in

# For comparison and for the sizes that audiences had; no server reads it.
PORTRAITS_FILE: Final = "portraits.json"
TRAINED_ON: Final = (
    "The model that judged these visits was trained on them: it tells others apart less well."
)
_SCORE: Final = re.compile(r"(?<![\w.])(conversion|abandonment|churn)\b")
_DIGITS: Final = 4
_COUNTS: Final = {
    "events": "n_events",
    "pages": "n_page_views",
    "product_views": "n_item_views",
    "searches": "n_searches",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What some visits are like, as they stood at their last point before an order.

    `n` counts visits; `typical` holds medians and `mean` means of events, pages, looks at products,
    searches, and minutes. `carted`, `checkout` and `returning` are shares of the visits,
    `device` and `source` shares by kind where known. `cart_value` is a median, `prices` are
    quartiles of the visits' median price looked at, both in `currency` over the visits that have
    one. `path` is the commonest, as `segments.visits` tells paths, with its share and the median
    number of looks at products along it. What isn't known is None.
    """

    n: int
    conversion: float | None
    typical: Mapping[str, float]
    mean: Mapping[str, float]
    carted: float
    checkout: float
    cart_value: float | None
    prices: tuple[float, float, float] | None
    priced: int
    returning: float | None
    device: Mapping[str, float]
    source: Mapping[str, float]
    path: tuple[str, ...]
    path_share: float
    path_products: float
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One cluster or audience: `visits` of it, their share of all, and how many of them buy.

    A visit belongs to the cluster that it ended in, and to every audience that it was in at any
    point before an order. `points` is the share of the decision points. `text` says it in words.
    """

    kind: str
    id: str
    name: str
    text: str
    visits: int
    share: float
    points: float
    conversion: float | None
    figures: Figures | None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def portray(
    visits: pd.DataFrame, bundle: LoadedBundle, *, trained_on: bool = False
) -> list[Portrait]:
    """Portray a bundle's clusters, then its audiences, by visits as `visits_of` sums them up.

    `trained_on` says that the bundle's models know these visits' outcomes: the portraits of
    audiences whose rules use a score then say so, for it tells other visits apart less well.
    """
    if not len(visits):
        return []
    currency = bundle.shop.currency
    every = figures_of(visits, currency)
    clusters = bundle.clusters.file.clusters if bundle.clusters else ()
    audiences = bundle.audiences.file.audiences if bundle.audiences else ()
    members: list[tuple[str, ClusterRecord | AudienceRecord, pd.Series]] = [
        (CLUSTER, one, visits["cluster"] == one.id) for one in clusters
    ]
    members += [(AUDIENCE, one, visits[points_in(AUDIENCE, one.id)] > 0) for one in audiences]
    found = [_portrait(kind, one, visits, held, every) for kind, one, held in members]
    if not trained_on:
        return found
    flattered = {one.id for one in audiences if _SCORE.search(one.rule)}
    return [
        replace(one, text=f"{one.text} {TRAINED_ON}")
        if one.kind == AUDIENCE and one.id in flattered and one.visits
        else one
        for one in found
    ]


def _portrait(
    kind: str,
    record: ClusterRecord | AudienceRecord,
    visits: pd.DataFrame,
    held: pd.Series,
    every: Figures,
) -> Portrait:
    own = figures_of(visits[held], every.currency) if held.any() else None
    points = visits[points_in(kind, record.id)].sum() / visits["points"].sum()
    return Portrait(
        kind=kind,
        id=record.id,
        name=record.name,
        text=tell(kind, own, every),
        visits=int(held.sum()),
        share=round(float(held.mean()), 2 * _DIGITS),
        points=round(float(points), 2 * _DIGITS),
        conversion=own.conversion if own else None,
        figures=own,
    )


def figures_of(visits: pd.DataFrame, currency: str) -> Figures:
    """Measure some visits, one or more."""
    counts = visits[list(_COUNTS.values())].set_axis(list(_COUNTS), axis="columns")
    counts = counts.assign(minutes=visits["duration_s"] / 60).astype(np.float64)
    prices = _known(visits["median_view_price"])
    carts = _known(visits["cart_value"][visits["n_cart_adds"] > 0])
    prior = _known(visits["user_prior_sessions"])
    path, often = _commonest(visits["path"])
    along = visits["n_item_views"][[one == path for one in visits["path"]]]
    return Figures(
        n=len(visits),
        conversion=round(float(visits["bought"].mean()), _DIGITS + 2),
        # Of two in the middle the lower: nobody has half an event.
        typical=_rounded(counts.quantile(0.5, interpolation="lower")),
        mean=_rounded(counts.mean()),
        carted=_share(visits["n_cart_adds"] > 0),
        checkout=_share(visits["n_checkout_steps"] > 0),
        cart_value=round(float(np.median(carts)), 2) if len(carts) else None,
        prices=_quartiles(prices),
        priced=len(prices),
        returning=_share(pd.Series(prior > 0)) if len(prior) else None,
        device=_shares(visits["device"], DeviceType),
        source=_shares(visits["referrer_medium"], ReferrerMedium),
        path=path,
        path_share=round(often / len(visits), _DIGITS),
        path_products=float(along.quantile(0.5, interpolation="lower")),
        currency=currency,
    )


def write_portraits(path: Path, portraits: Sequence[Portrait]) -> None:
    """Write portraits as JSON; the same ones give the same bytes."""
    values = [one.to_dict() for one in portraits]
    path.write_text(json.dumps(values, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def portraits_of(bundle: Path) -> list[Portrait]:
    """Read the portraits that training left in a bundle's folder; none where it left none."""
    path = bundle / PORTRAITS_FILE
    if not path.exists():
        return []
    return [_from_dict(values) for values in json.loads(path.read_text(encoding="utf-8"))]


def _from_dict(values: dict[str, Any]) -> Portrait:
    figures = values.pop("figures")
    if figures is not None:
        figures["path"] = tuple(figures["path"])
        figures["prices"] = tuple(figures["prices"]) if figures["prices"] else None
    return Portrait(**values, figures=Figures(**figures) if figures else None)


def _known(values: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers: np.ndarray[Any, np.dtype[np.float64]] = values.dropna().to_numpy(np.float64)
    return numbers


def _rounded(values: pd.Series) -> dict[str, float]:
    return {str(name): round(float(value), _DIGITS) for name, value in values.items()}


def _share(held: pd.Series) -> float:
    return round(float(held.mean()), _DIGITS)


def _shares(codes: pd.Series, kinds: type[DeviceType] | type[ReferrerMedium]) -> dict[str, float]:
    known = [int(code) for code in codes if not isnan(code) and code > 0]
    return {
        kinds(code).name.lower(): round(n / len(known), _DIGITS)
        for code, n in sorted(Counter(known).items())
    }


def _quartiles(
    prices: np.ndarray[Any, np.dtype[np.float64]],
) -> tuple[float, float, float] | None:
    if not len(prices):
        return None
    low, middle, high = (round(float(one), 2) for one in np.quantile(prices, (0.25, 0.5, 0.75)))
    return low, middle, high


def _commonest(paths: pd.Series) -> tuple[tuple[str, ...], int]:
    """Give the commonest path and how often it is there; of equals the first by its words."""
    path, often = min(Counter(paths).items(), key=lambda item: (-item[1], item[0]))
    return path, often
