"""Part: what the leak linter found when the bundle was trained."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from training.card.card import Card
from training.card.parts import Part, section, table


def lint_part(card: Card) -> Part | None:
    """Compose the part; None where training's metrics hold no linter's report."""
    report = card.metrics.get("lint")
    if not isinstance(report, Mapping) or not report:
        return None
    findings = report.get("findings", ())
    bodies = [_facts({k: v for k, v in report.items() if k != "findings"})]
    if findings:
        bodies.insert(0, _findings([one for one in findings if isinstance(one, Mapping)]))
        text = f"{len(findings)} findings on the training data."
    else:
        text = "No finding on the training data."
    return Part("leaks", "Does anything leak?", section("Leak linter", text, *bodies))


def _findings(findings: list[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for one in findings for name in one))
    rows = ([escape(_plain(one.get(name))) for name in names] for one in findings)
    return table([escape(_words(name)) for name in names], rows, words=range(1, len(names)))


def _facts(values: Mapping[str, Any]) -> str:
    flat = [[escape(name), escape(value)] for name, value in _flat(values)]
    return table(("check", "value"), flat, words=(1,)) if flat else ""


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    found = []
    for name, value in values.items():
        whole = f"{above}{_words(name)}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{whole}: ")
        else:
            found.append((whole, _plain(value)))
    return found


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(one) for one in value)
    return str(value)
