"""Alerts, their pages and the dashboard: what they name is there, and alerts fire in time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from micromoment.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/micromoment.rules.yaml"
TESTS = ROOT / "deploy/prometheus/micromoment.rules.test.yaml"
(GROUP,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALERTS: list[dict[str, Any]] = [rule for rule in GROUP["rules"] if "alert" in rule]
RECORDED = {rule["record"] for rule in GROUP["rules"] if "record" in rule}
DASHBOARD = json.loads((ROOT / "deploy/grafana/micromoment.json").read_text(encoding="utf-8"))
RUNBOOKS = ROOT / "docs/runbooks"
# Written for the textfile collector by `micromoment monitor`.
FROM_ELSEWHERE = {"micromoment_live_degraded"}


def known_names() -> set[str]:
    """Names of all series that a server shows, and those of others."""
    names = set(RECORDED) | FROM_ELSEWHERE
    for family in Metrics().registry.collect():
        if family.type == "counter":
            names.add(f"{family.name}_total")
        elif family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
        else:
            names.add(family.name)
    return names


def names_in(expression: str) -> set[str]:
    """Names of our series, and of the process's, in a PromQL expression."""
    found = re.findall(r"\b(?:micromoment|process)[a-z0-9_:]*", re.sub(r'"[^"]*"', "", expression))
    return set(found)


def test_alerts_ask_for_series_that_there_are() -> None:
    """A renamed metric would silence its alert."""
    known = known_names()
    for rule in GROUP["rules"]:
        asked = names_in(rule["expr"])
        assert asked <= known, rule
        assert asked or "up{" in rule["expr"]


def test_panels_ask_for_series_that_there_are() -> None:
    """A renamed metric would empty its panel."""
    known = known_names()
    queries = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
    ]
    assert len(queries) > 15
    for query in queries:
        asked = names_in(query)
        assert asked, query
        assert asked <= known, query


def test_each_alert_has_a_page_that_names_it() -> None:
    """It says what callers see, how to find out and what to do; no page is left over."""
    pages = {path.name for path in RUNBOOKS.glob("*.md")}
    used = set()
    for alert in ALERTS:
        page = ROOT / alert["annotations"]["runbook"]
        text = page.read_text(encoding="utf-8")
        assert f"`{alert['alert']}`" in text.splitlines()[0]
        for part in ("**What callers see.**", "## Find out", "## What to do"):
            assert part in text
        assert alert["labels"]["severity"] in {"critical", "warning"}
        used.add(page.name)
    assert used == pages


def test_each_alert_has_a_test_that_fires_it_and_one_that_does_not() -> None:
    """Both are in the file that promtool runs."""
    cases = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
    fired: set[str] = set()
    silent: set[str] = set()
    for case in cases:
        for check in case["alert_rule_test"]:
            (fired if check["exp_alerts"] else silent).add(check["alertname"])
    names = {alert["alert"] for alert in ALERTS}
    assert fired == silent == names


def test_alerts_fire_when_they_should() -> None:
    """Prometheus's own tool runs the rules over made-up series."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(
        [promtool, "test", "rules", TESTS.name], cwd=TESTS.parent, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_link_to_what_there_is() -> None:
    """Links between pages lead somewhere."""
    for page in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
