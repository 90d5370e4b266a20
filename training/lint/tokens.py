"""Raw values that occur before an order in visits that buy, and hardly in others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.lint.columns import PURE_ERROR, PURE_WARNING, pure_limit
from training.lint.occurrences import Tokens, VisitEvents, all_tokens
from training.lint.report import Finding, Severity
from training.lint.scores import share_bound

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MIN_VISITORS: Final = 15
_AFTER_SHARE: Final = 0.9
_PAGE_KINDS: Final = ("page_id", "page_title", "shape of page_id")
# Of one kind the clearest are named; the rest are counted.
_NAMED: Final = 3
# How a visit begins tells far less of it than how far it came.
_FIRST_ERROR: Final = 0.7
_FIRST_WARNING: Final = 0.4
_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Suspect:
    name: str
    low: float
    share: float
    visits: int
    seconds: float  # from the token's first occurrence to the order, median over buying visits
    severe: bool


def lint_tokens(found: VisitEvents) -> list[Finding]:
    """Look at every token, at its absence from a visit, and at what comes only after orders."""
    if found.buys.sum() < _MIN_VISITORS:
        return []
    seen = np.zeros(len(found.buys), np.bool_)
    seen[found.visit[found.before]] = True  # a visit that begins with its order shows nothing
    if not seen.any():
        return []
    base = float(found.buys[seen].mean())
    findings = []
    for tokens in all_tokens(found):
        suspects = [*_pure(found, tokens, base), *_absent(found, tokens, seen, base)]
        suspects += _pure(found, tokens, base, first=True)
        suspects.sort(key=lambda one: -one.low)
        findings += [_finding(one, base, len(suspects)) for one in suspects[:_NAMED]]
        if tokens.kind in _PAGE_KINDS:
            findings += _only_after(found, tokens)
    return _distinct(findings)


def _distinct(findings: list[Finding]) -> list[Finding]:
    """Keep the first of those that the same visits hold: a type, its page, that page's title."""
    kept: dict[tuple[float, ...], Finding] = {}
    for one in findings:
        kept.setdefault((one.severity is Severity.ERROR, *one.numbers.values()), one)
    return list(kept.values())


def _pure(
    found: VisitEvents, tokens: Tokens, base: float, *, first: bool = False
) -> list[_Suspect]:
    usable = found.before[tokens.event]
    if first:
        usable = usable & found.first[tokens.event]
    event, code = tokens.event[usable], tokens.code[usable]
    if not len(event):
        return []
    pair = found.visit[event] * len(tokens.words) + code
    _, place = np.unique(pair, return_index=True)
    visit, code = found.visit[event[place]], code[place]
    n = np.bincount(code, minlength=len(tokens.words))
    hits = np.bincount(code, found.buys[visit], minlength=len(tokens.words))
    low = share_bound(hits, n)
    suspects = []
    least = _FIRST_WARNING if first else PURE_WARNING
    for one in np.flatnonzero(low > pure_limit(base, least)):
        held = code == one
        if len(np.unique(found.visitor[visit[held]])) < _MIN_VISITORS:
            continue
        wait = found.order_time[visit[held]] - found.time[event[place[held]]]
        seconds = float(np.median(wait[found.buys[visit[held]]])) / _US_PER_SECOND
        name = f"{tokens.name(int(one))}{' at the first event' if first else ''}"
        severe = pure_limit(base, _FIRST_ERROR if first else PURE_ERROR)
        share = float(hits[one] / n[one])
        suspects.append(_Suspect(name, low[one], share, int(n[one]), seconds, low[one] > severe))
    return suspects


def _absent(found: VisitEvents, tokens: Tokens, seen: BoolArray, base: float) -> Iterator[_Suspect]:
    """Look at visits that lack the kind altogether, or a token that nearly all others hold."""
    used = found.before[tokens.event]
    visit, code = found.visit[tokens.event[used]], tokens.code[used]
    holds = np.zeros(len(seen), np.bool_)
    holds[visit] = True
    candidates = [("no", seen & ~holds)]
    n = np.bincount(np.unique(visit * len(tokens.words) + code) % max(len(tokens.words), 1))
    for one in np.flatnonzero(n > 0.5 * seen.sum()):
        held = np.zeros(len(seen), np.bool_)
        held[visit[code == one]] = True
        candidates.append((f"without {tokens.name(int(one))}:", seen & ~held))
    for word, lacking in candidates:
        cases = np.array([lacking.sum()])
        hits = np.array([found.buys[lacking].sum()])
        low = float(share_bound(hits, cases)[0])
        if low > pure_limit(base, PURE_WARNING):
            severe = low > pure_limit(base, PURE_ERROR)
            yield _Suspect(
                f"{word} {tokens.kind}", low, float(hits[0] / cases[0]), int(cases[0]), -1, severe
            )


def _finding(one: _Suspect, base: float, of_kind: int) -> Finding:
    severity = Severity.ERROR if one.severe else Severity.WARNING
    evidence = (
        f"{one.share:.1%} of the {one.visits:,} visits that hold it before an order buy "
        f"(lower bound {one.low:.1%}, base rate {base:.2%})"
    )
    if one.seconds >= 0:
        evidence += f"; the order follows after {one.seconds:,.1f} s in the median"
    if of_kind > _NAMED:
        evidence += f"; {of_kind:,} such values"
    numbers = {"share": one.share, "low": one.low, "visits": one.visits, "base_rate": base}
    return Finding("outcome-tokens", severity, one.name, evidence, numbers)


def _only_after(found: VisitEvents, tokens: Tokens) -> Iterator[Finding]:
    """Find pages that come only after orders: confirmations under another name."""
    types = found.table["page_type"]
    confirmed = np.array([word == "confirmation" for word in types.to_pylist()])[tokens.event]
    event, code = tokens.event[~confirmed], tokens.code[~confirmed]
    after = found.time[event] >= found.order_time[found.visit[event]]
    pair, place = np.unique(found.visit[event] * len(tokens.words) + code, return_index=True)
    n = np.bincount(pair % len(tokens.words), minlength=len(tokens.words))
    # The first occurrence decides: a page that visits see before orders too is none.
    late = np.bincount(pair % len(tokens.words), after[place], minlength=len(tokens.words))
    for one in np.flatnonzero(share_bound(late, n) > _AFTER_SHARE)[:_NAMED]:
        evidence = (
            f"{late[one] / n[one]:.1%} of the {n[one]:,} visits that hold it see it only after an "
            "order: a confirmation page under another name? Where an order is logged late, it leaks"
        )
        numbers = {"share": float(late[one] / n[one]), "visits": int(n[one])}
        yield Finding("outcome-tokens", Severity.WARNING, tokens.name(int(one)), evidence, numbers)
