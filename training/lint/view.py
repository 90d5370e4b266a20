"""A lint report for people: a table in the terminal, a section of a page."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from training.lint.report import CHECKS, LintReport, Severity

_STYLES: Final = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


def lint_table_view(report: LintReport, acknowledged: Collection[str] = ()) -> Group:
    """Compose a line for each check and, below, one for each finding with what to do."""
    checks = Table(title="Leaks: what was checked", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("", "check", "question"):
        checks.add_column(heading)
    for check in report.checked:
        severity = report.severity_of(check)
        word = "acknowledged" if check in acknowledged and severity is Severity.ERROR else severity
        checks.add_row(Text(word, _STYLES[severity]), check, CHECKS[check][0])
    for check, reason in report.skipped.items():
        checks.add_row(Text("skipped", "dim"), check, reason)
    if not report.findings:
        return Group(checks)
    found = Table(title="Found", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("", "check", "what", "evidence", "what to do"):
        found.add_column(heading, overflow="fold")
    for one in sorted(report.findings, key=lambda one: one.severity is not Severity.ERROR):
        styled = Text(one.severity, _STYLES[one.severity])
        found.add_row(styled, one.check, Text(one.subject), Text(one.evidence), one.advice)
    return Group(checks, found)


def lint_section(values: Mapping[str, Any]) -> str:
    """Write the section of a page about a report, as `LintReport.to_dict` gives it."""
    lines = [
        f"<tr><td>{escape(one['severity'])}</td><td>{escape(check)}</td>"
        f"<td>{escape(one['question'])}</td></tr>"
        for check, one in values["checked"].items()
    ]
    lines += [
        f"<tr><td>skipped</td><td>{escape(check)}</td><td>{escape(reason)}</td></tr>"
        for check, reason in values["skipped"].items()
    ]
    found = [
        f"<li><b>{escape(one['severity'])}{', acknowledged' if one['acknowledged'] else ''}</b> "
        f"{escape(one['check'])}: {escape(one['subject'])}. {escape(one['evidence'])}. "
        f"<i>{escape(one['advice'])}</i></li>"
        for one in values["findings"]
    ]
    findings = f"<ul>{''.join(found)}</ul>" if found else "<p>Nothing was found.</p>"
    return (
        "<section id='leaks'><h2>Leaks</h2><table><thead><tr><th></th><th>check</th>"
        f"<th>question</th></tr></thead><tbody>{''.join(lines)}</tbody></table>{findings}</section>"
    )


def write_lint(report: LintReport, folder: Path, acknowledged: Collection[str] = ()) -> Path:
    """Write `lint.json` and `lint.html` into a folder that is there; gives the page's path."""
    values = report.to_dict(acknowledged)
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False)
    (folder / "lint.json").write_text(text + "\n", encoding="utf-8")
    page = folder / "lint.html"
    style = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    page.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>Leaks: {escape(report.looked_at)}</title><style>{style}</style></head>"
        f"<body><p>{escape(report.looked_at)}</p>{lint_section(values)}</body></html>\n",
        encoding="utf-8",
    )
    return page
