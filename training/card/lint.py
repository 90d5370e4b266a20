"""Part: what the leak linter found when the bundle was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training.card.card import Card
from training.card.parts import Part, section, table


def lint_part(card: Card) -> Part | None:
    """Compose the part; None where no linter's report is in the bundle's training record."""
    report = lint_report(card)
    if not report:
        return None
    findings = report.get("findings", ())
    text = f"{escape(str(report.get('looked_at', 'Training data')))}: " + (
        f"{len(findings)} findings." if findings else "no finding."
    )
    bodies = []
    if findings:
        bodies.append(_findings(findings))
    if report.get("checked"):
        bodies.append(_checks(report["checked"], report.get("skipped", {})))
    figures = _flat(report.get("figures", {}))
    if figures:
        bodies.append("<details><summary>Figures</summary>")
        bodies.append(table(("figure", "value"), ([escape(x) for x in row] for row in figures)))
        bodies.append("</details>")
    return Part("leaks", "Does anything leak?", section("Leak linter", text, *bodies))


def lint_report(card: Card) -> Mapping[str, Any]:
    """Give the linter's report as `LintReport.to_dict` wrote it; empty where there is none."""
    report = card.bundle.training.get("leaks") if card.bundle is not None else None
    return report if isinstance(report, Mapping) else {}


def _findings(findings: Sequence[Mapping[str, Any]]) -> str:
    names = ("subject", "check", "severity", "acknowledged", "evidence", "advice")
    rows = ([escape(_plain(one.get(name))) for name in names] for one in findings)
    return table(names, rows, words=(4, 5))


def _checks(checked: Mapping[str, Mapping[str, Any]], skipped: Mapping[str, str]) -> str:
    rows = [
        [escape(name), escape(_plain(one.get("question"))), escape(_plain(one.get("severity")))]
        for name, one in checked.items()
    ]
    rows += [[escape(name), escape(why), "skipped"] for name, why in skipped.items()]
    return table(("check", "what it asks", "found"), rows, words=(1,))


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    found = []
    for name, value in values.items():
        whole = f"{above}{str(name).replace('_', ' ')}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{whole}: ")
        else:
            found.append((whole, _plain(value)))
    return found


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
