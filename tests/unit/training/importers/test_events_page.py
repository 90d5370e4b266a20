"""What docs/events.md says of importers is what they do."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from pydantic import BaseModel

from tests.support import segment_calls, tables
from training.importers.table import mapping, sources
from training.importers.table.mapping import load_mapping

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
BLOCKS = [dedent(block) for block in re.findall(r"(?:^    .*\n)+", PAGE, re.MULTILINE)]

MODELS = (
    mapping.OrdersMapping,
    mapping.EventsMapping,
    mapping.OrderColumns,
    mapping.EventColumns,
    mapping.DropRule,
    mapping.Refunds,
    mapping.Charges,
    mapping.Csv,
    mapping.Sessions,
    sources.Text,
    sources.Time,
    sources.Money,
    sources.Duration,
    sources.EventTypeWord,
    sources.Category,
)


def block(beginning: str) -> str:
    """Give the one block of the page that begins so."""
    (found,) = [text for text in BLOCKS if text.startswith(beginning)]
    return found


def test_the_worked_mapping_is_the_example() -> None:
    """The mapping that the page shows says what the file in examples/ says."""
    example = ROOT / "examples" / "mappings" / "online_retail_II.yaml"
    assert yaml.safe_load(block("shape: orders")) == yaml.safe_load(example.read_text())


def test_the_mapping_of_events_works(tmp_path: Path) -> None:
    """The page's mapping of an event table imports a table with such columns."""
    loaded = yaml.safe_load(block("shape: events"))
    row = {
        "timestamp": "1714564800000",
        "visitorid": "7",
        "event": "transaction",
        "itemid": "5",
        "transactionid": "3",
    }
    (event,), _ = tables.imported(tmp_path, [row], loaded)
    assert (event["type"], event["anonymous_id"], event["order_id"]) == ("purchase", "7", "3")


def test_the_worked_calls_become_what_is_said(tmp_path: Path) -> None:
    """The page's Segment calls give the session, types, consent and user that it names."""
    events, report = segment_calls.imported(tmp_path, block('{"type": "page"').splitlines())
    assert report.rows_kept == len(events) == 4
    assert {e["session_id"] for e in events} == {"b1.1714557600000000"}
    assert [e["type"] for e in events] == ["page_view", "item_view", "identify", "purchase"]
    assert [e["user_id"] for e in events] == [None, None, "u1", "u1"]
    assert (events[0]["consent_analytics"], events[0]["consent_ads"]) == ("granted", "denied")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_of_a_mapping_is_explained(model: type[BaseModel]) -> None:
    """The page names each key; of `refunds` and the like with the key before it."""
    missing = [
        name for name in model.model_fields if not re.search(rf"`(\w+\.)?{name}\b[^`\n]*`", PAGE)
    ]
    assert missing == []


def test_the_example_in_the_repository_loads() -> None:
    """Each mapping in examples/ is one."""
    found = sorted((ROOT / "examples" / "mappings").glob("*.yaml"))
    assert found
    for path in found:
        assert load_mapping(path).shape in {"orders", "events"}


@pytest.mark.parametrize(
    "script", ["visits/rows", "table/order_lines", "segment/messages"], ids=lambda name: name
)
def test_every_reason_is_explained(script: str) -> None:
    """The page names each reason for which a row is dropped."""
    sql = (resources.files("training.importers") / f"{script}.sql").read_text(encoding="utf-8")
    (dropped,) = re.findall(r"CASE((?:(?!CASE).)*?)END AS dropped", sql, re.DOTALL)
    reasons = re.findall(r"THEN '(\w+)'", dropped)
    assert reasons
    assert [
        reason for reason in reasons if f"`{reason}`" not in PAGE.replace("dropped: ", "")
    ] == []
