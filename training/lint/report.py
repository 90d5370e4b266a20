"""What the linter found: plain data that a terminal, a page and a bundle can hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import Any, Final

from micromoment.errors import InvalidSettingError, MicromomentError

# What each check asks, and what to do when it finds something. The names are what is acknowledged.
CHECKS: Final[dict[str, tuple[str, str]]] = {
    "outcome-tokens": (
        "Do values of raw events occur before an order in visits that buy, and hardly elsewhere?",
        (
            "Find out when the value is written. If an order causes it, give its page the type "
            "confirmation, or leave it out of the import."
        ),
    ),
    "outcome-values": (
        "Does one value of a feature, or its absence, nearly settle the outcome?",
        "Find out when the value is known. If only an order makes it known, drop the feature.",
    ),
    "single-feature-auc": (
        "Does one feature alone tell buyers from others nearly perfectly?",
        "Trace the feature's inputs: something after the decision point is among them.",
    ),
    "looks-ahead": (
        "Does a feature know how the visit goes on?",
        "Compute it from the events up to the decision point alone.",
    ),
    "own-rows": (
        "Is an encoding fitted on the rows that it encodes?",
        "Fit it on other visitors' rows (cross-fitting) or on earlier days.",
    ),
    "user-totals": (
        "Does a user total contain the visit that it is used in?",
        "Take totals as of the last midnight before the visit.",
    ),
    "future-events": (
        "Do features stay as they are, bit by bit, when later events never happen?",
        "Look at what reads whole visits or whole files: replay, snapshots, joins.",
    ),
    "changed-outcomes": (
        "Do features stay as they are, bit by bit, when the visitors' own outcomes change?",
        "Look at how tables are fitted and which fold encodes a row.",
    ),
    "customer-snapshots": (
        "Do customers at a cut look the same when nothing after the cut exists?",
        "Look at how snapshots are cut and joined.",
    ),
    "split": (
        "Do rows to fit on and rows to judge on share visits, visitors, points or days?",
        "Split by time, and leave out visits that cross the border.",
    ),
    "shuffled-labels": (
        "Do shuffled outcomes give chance?",
        "Something tells rows apart that fitting and judging share: look at the split.",
    ),
    "train-later": (
        "Can earlier days be told from later ones?",
        "Leave out what tells the date; expect the rest to drift.",
    ),
    "mid-visit-auc": (
        "Is the model too good to be true in mid-visit (ROC-AUC above 0.95)?",
        "Look at the features with the largest gain, and at pages that only buyers see.",
    ),
}


class Severity(StrEnum):
    """An error stops training unless it is acknowledged; a warning is worth a look."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class LeakError(MicromomentError):
    """Training was stopped because its data tell the outcome; `report` says where."""

    def __init__(self, report: LintReport, acknowledged: Collection[str]) -> None:
        open_errors = report.unacknowledged(acknowledged)
        self.report = report
        lines = [f"{one.check}: {one.subject}: {one.evidence}" for one in open_errors]
        names = sorted({one.check for one in open_errors})
        super().__init__(
            "leaks were found, nothing was published:\n  "
            + "\n  ".join(lines)
            + "\nMend them, or acknowledge by name: "
            + " ".join(f"--acknowledge-leak {name}" for name in names)
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `numbers` is the evidence as data; what isn't finite is None."""

    check: str
    severity: Severity
    subject: str  # the feature, page, column or table
    evidence: str
    numbers: Mapping[str, float | int] = field(default_factory=dict)

    def softened(self) -> Finding:
        """Make it a warning."""
        return replace(self, severity=Severity.WARNING)

    @property
    def advice(self) -> str:
        """Say what to do."""
        return CHECKS[self.check][1]


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was looked at, in which numbers, and what was found."""

    looked_at: str
    checked: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)  # check: why
    figures: dict[str, Any] = field(default_factory=dict)

    def unacknowledged(self, acknowledged: Collection[str]) -> tuple[Finding, ...]:
        """Give the errors whose check nobody has acknowledged."""
        return tuple(
            one
            for one in self.findings
            if one.severity is Severity.ERROR and one.check not in acknowledged
        )

    def joined(self, other: LintReport) -> LintReport:
        """Put two reports on the same data together."""
        return LintReport(
            self.looked_at,
            tuple(dict.fromkeys((*self.checked, *other.checked))),
            (*self.findings, *other.findings),
            self.skipped | other.skipped,
            self.figures | other.figures,
        )

    def severity_of(self, check: str) -> Severity:
        """Give the worst that a check found."""
        found = {one.severity for one in self.findings if one.check == check}
        for severity in (Severity.ERROR, Severity.WARNING):
            if severity in found:
                return severity
        return Severity.OK

    def to_dict(self, acknowledged: Collection[str] = ()) -> dict[str, Any]:
        """Give the report as data that JSON can hold; the same data give the same bytes."""
        return {
            "looked_at": self.looked_at,
            "checked": {
                check: {"question": CHECKS[check][0], "severity": self.severity_of(check).value}
                for check in self.checked
            },
            "findings": [
                asdict(one)
                | {
                    "severity": one.severity.value,
                    "numbers": {k: _plain(v) for k, v in one.numbers.items()},
                    "advice": one.advice,
                    "acknowledged": one.check in acknowledged,
                }
                for one in self.findings
            ],
            "skipped": dict(self.skipped),
            "figures": self.figures,
        }


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Give the names of checks, commas parted. Raises `InvalidSettingError` for an unknown one."""
    asked = tuple(part.strip() for name in names for part in name.split(",") if part.strip())
    for name in asked:
        if name not in CHECKS:
            known = ", ".join(CHECKS)
            raise InvalidSettingError(
                "acknowledge", f"no check is called {name}; there are {known}"
            )
    return asked


def _plain(value: float | int) -> float | int | None:
    if not isfinite(value):
        return None
    return round(value, 6) if isinstance(value, float) else int(value)
