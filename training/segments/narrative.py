"""A portrait in plain sentences: how large, what its visits do, and what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from training.evaluation.segments import CLUSTER

if TYPE_CHECKING:
    from training.segments.portraits import Figures

# Fewer visits than these are counted but not described: their medians would be an accident.
MIN_VISITS: Final = 30
_MIN_PRICED: Final = 30
_FEW_BUYERS: Final = 5  # are told as a number: their share is an accident as well
# What is told as different: by this factor, or by so much of the visits.
_FACTOR: Final = 1.5
_GAP: Final = 0.1
_MOST_FACTS: Final = 2

_LANDINGS: Final = {
    "home": "lands on the home page",
    "list": "lands on a category page",
    "item": "lands on a product page",
    "search": "lands on a page of search results",
    "cart": "begins at the cart",
    "checkout": "begins in the checkout",
    "confirmation": "begins at an order confirmation",
    "account": "begins at the account pages",
    "policy": "lands on a help or policy page",
    "content": "lands on an editorial page",
    "error": "lands on a page that could not be shown",
    "other": "lands on a page of another kind",
    "unspecified": "lands on a page of unknown kind",
}
_STEPS: Final = {
    "pages": "looks at further pages",
    "list": "looks at lists of products",
    "search": "searches",
    "product": "looks at a product",
    "cart": "puts something into the cart",
    "checkout": "begins the checkout",
    "order": "orders",
    "leave": "leaves",
}
# The second of what the landing page was the first of.
_AGAIN: Final = {
    ("list", "list"): "looks at further lists of products",
    ("search", "search"): "searches again",
}
_DEVICES: Final = {
    "desktop": "are on a computer",
    "mobile": "are on a phone",
    "tablet": "are on a tablet",
    "app": "use the app",
}
_SOURCES: Final = {
    "direct": "come directly",
    "organic": "come from a search engine",
    "paid": "come from a paid search",
    "referral": "come from another site",
    "email": "come from an e-mail",
    "social": "come from a social network",
    "affiliate": "come from an affiliate",
    "display": "come from a banner",
}
_ACTS: Final = {
    "searches": "searches",
    "product_views": "looks at products",
    "pages": "pages",
}


def tell(kind: str, own: Figures | None, every: Figures) -> str:
    """Tell of a cluster or an audience beside all visits, in one to four sentences."""
    where = "end here" if kind == CLUSTER else "are in it at some point before an order"
    if own is None:
        return f"None of the {every.n:,} visits was in it."
    size = f"{percent(own.n / every.n)} of the visits {where}"
    if own.n < MIN_VISITS:
        count = "1 visit" if own.n == 1 else f"{own.n} visits"
        return f"{size} ({count} of {every.n:,}): too few for a portrait."
    sentences = [f"{size}; {_conversion(own, every)}.", _typical(own), _path(own)]
    facts = [*_facts(own, every), *_prices(own, every)]
    if facts:
        sentences.append(f"Compared with all visits: {_listed(facts)}.")
    return " ".join(sentences)


def percent(share: float) -> str:
    """Write a share with two digits or so: 43 %, 4.3 %, 0.43 %."""
    value = 100 * share
    if value == 0:
        return "0 %"
    if value < 0.01:
        return "less than 0.01 %"
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    text = f"{value:.{digits}f}"
    return f"{text} %"


def _conversion(own: Figures, every: Figures) -> str:
    buyers = round((own.conversion or 0.0) * own.n)
    if not buyers or own.conversion is None:
        return f"none of these {own.n:,} buys"
    if buyers < _FEW_BUYERS:
        return f"{buyers} of these {own.n:,} {'buys' if buyers == 1 else 'buy'}"
    said = f"{percent(own.conversion)} of these buy"
    if own.n == every.n or not every.conversion:
        return said
    ratio = own.conversion / every.conversion
    if 0.8 <= ratio <= 1.25:
        return f"{said}, about as many as of all visits ({percent(every.conversion)})"
    times = f"{_times(ratio)} the share" if ratio > 1 else f"{_part(ratio)} the share"
    return f"{said}, {times} of all visits ({percent(every.conversion)})"


def _typical(own: Figures) -> str:
    events, pages = own.typical["events"], own.typical["pages"]
    looks = own.typical["product_views"]
    parts = [_count(events, "event"), _count(pages, "page")]
    if looks >= 1:
        parts.append(_count(looks, "look at products", "looks at products"))
    text = f"The typical one has {_listed(parts)} {_time(own.typical['minutes'])}"
    if own.carted >= _GAP:
        text += f"; {percent(own.carted)} put something into the cart"
        if own.cart_value is not None:
            text += f", then worth {_money(own.cart_value, own.currency)} (median)"
    return f"{text}."


def _path(own: Figures) -> str:
    landing, *steps = own.path
    words = [_LANDINGS[landing]]
    for step in steps:
        if step == "product" and own.path_products > 1.5:
            words.append(f"looks at products ({own.path_products:.0f} times in all)")
        else:
            words.append(_AGAIN.get((landing, step), _STEPS[step]))
    often = percent(own.path_share)
    lead = "The commonest path" if own.path_share >= _GAP else "Paths differ; the commonest"
    return f"{lead} ({often}): {', '.join(words)}."


def _facts(own: Figures, every: Figures) -> list[str]:
    """Give what differs most, the most telling first, each with both figures."""
    found: list[tuple[float, str]] = []
    for name, words in _ACTS.items():
        here, there = own.mean[name], every.mean[name]
        if there >= 0.05 and here >= _FACTOR * there:
            numbers = f"{_mean(here)} a visit against {_mean(there)}"
            found.append((here / there, f"{_times(here / there)} as many {words} ({numbers})"))
    if own.returning is not None and every.returning is not None:
        gap = own.returning - every.returning
        if abs(gap) >= _GAP:
            more = "more have" if gap > 0 else "fewer have"
            numbers = f"{percent(own.returning)} against {percent(every.returning)}"
            found.append((1 + 2 * abs(gap), f"{more} been here before ({numbers})"))
    found += _kinds(own.device, every.device, _DEVICES)
    found += _kinds(own.source, every.source, _SOURCES)
    found.sort(key=lambda fact: (-fact[0], fact[1]))
    return [text for _, text in found[:_MOST_FACTS]]


def _kinds(
    own: Mapping[str, float], every: Mapping[str, float], words: Mapping[str, str]
) -> list[tuple[float, str]]:
    gaps = {kind: own.get(kind, 0.0) - every.get(kind, 0.0) for kind in words}
    kind = max(gaps, key=lambda one: (gaps[one], one))
    if gaps[kind] < _GAP:
        return []
    numbers = f"{percent(own[kind])} against {percent(every.get(kind, 0.0))}"
    return [(1 + 2 * gaps[kind], f"more {words[kind]} ({numbers})")]


def _prices(own: Figures, every: Figures) -> list[str]:
    if own.prices is None or every.prices is None or own.priced < _MIN_PRICED:
        return []
    here = _band(own.prices[0], own.prices[2], own.currency)
    there = _band(every.prices[0], every.prices[2], every.currency)
    return [f"the middle half of prices looked at is {here} (against {there})"]


def _band(low: float, high: float, currency: str) -> str:
    digits = 0 if high >= 10 else 2
    if f"{low:.{digits}f}" == f"{high:.{digits}f}":
        return f"about {_money(high, currency)}"
    return f"{low:,.{digits}f} to {_money(high, currency)}"


def _money(value: float, currency: str) -> str:
    number = f"{value:,.0f}" if value >= 10 else f"{value:,.2f}"
    return f"{number} {currency}".rstrip()


def _times(ratio: float) -> str:
    if 1.75 <= ratio < 2.25:
        return "twice"
    return f"{ratio:.0f} times" if ratio >= 5 else f"{ratio:.1f} times".replace(".0 ", " ")


def _part(ratio: float) -> str:
    for name, value in (("a tenth of", 0.1), ("a fifth of", 0.2), ("a quarter of", 0.25),
                        ("a third of", 1 / 3), ("half", 0.5)):  # fmt: skip
        if abs(ratio - value) <= 0.15 * value:
            return name
    return "less than a tenth of" if ratio < 0.1 else f"{ratio:.1g} times"


def _mean(value: float) -> str:
    """Write a mean with two digits: 24, 2.4, 0.24, 0.024."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}" if value >= 1 else f"{value:.2f}"


def _count(value: float, one: str, many: str | None = None) -> str:
    number = f"{value:.0f}" if value == int(value) else f"{value:.1f}"
    return f"{number} {one if value == 1 else many or one + 's'}"


def _time(minutes: float) -> str:
    seconds = minutes * 60
    if seconds < 1:
        return "at one moment"
    if seconds < 90:
        return f"within {_count(round(seconds), 'second')}"
    return f"over {_count(round(minutes, 1 if minutes < 10 else 0), 'minute')}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
