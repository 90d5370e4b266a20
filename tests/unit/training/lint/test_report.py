"""Reports: what is acknowledged, what a bundle and a page get."""

from __future__ import annotations

import json
import math

import pytest

from micromoment.errors import InvalidSettingError
from training.lint.report import CHECKS, Finding, LeakError, LintReport, Severity, check_names
from training.lint.view import lint_section

FOUND = Finding("own-rows", Severity.ERROR, "<x>", "says too much", {"auc": math.nan, "n": 3})
WARNED = Finding("train-later", Severity.WARNING, "day", "differs")
REPORT = LintReport("here", ("own-rows", "train-later"), (FOUND, WARNED), {"split": "one side"})


def test_an_error_is_open_until_it_is_acknowledged() -> None:
    """Warnings never stop a run; an error does unless its check is named."""
    assert REPORT.unacknowledged(()) == (FOUND,)
    assert REPORT.unacknowledged(("own-rows",)) == ()
    assert str(LeakError(REPORT, ())).endswith("--acknowledge-leak own-rows")


def test_a_report_is_plain_data() -> None:
    """JSON holds it, what isn't a number is null, and who acknowledged is said."""
    values = json.loads(json.dumps(REPORT.to_dict(("own-rows",)), allow_nan=False))
    assert values["findings"][0]["numbers"] == {"auc": None, "n": 3}
    assert [one["acknowledged"] for one in values["findings"]] == [True, False]
    assert values["checked"]["own-rows"]["severity"] == "error"


def test_the_section_escapes_names() -> None:
    """A feature's name can't break the page."""
    section = lint_section(REPORT.to_dict())
    assert "&lt;x&gt;" in section
    assert "<x>" not in section


def test_names_may_be_joined_by_commas_and_must_exist() -> None:
    """A typing error acknowledges nothing."""
    assert check_names(["own-rows, split"]) == ("own-rows", "split")
    with pytest.raises(InvalidSettingError, match="no check is called everything"):
        check_names(["everything"])
    assert all(question.endswith("?") or "?" in question for question, _ in CHECKS.values())
