from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from micromoment.errors import InvalidDataError
from tests.support.tables import EVENTS, ORDERS, Row, line, with_columns, write_csv, write_mapping
from training.importers import import_table
from training.importers.table.columns import check_columns, closest, mapped_columns
from training.importers.table.mapping import TableMapping, load_mapping

FOUND = ["Order No", "CustomerID", "time", "item", "QUANTITY", "unit_price", "Land"]


def _mapping(tmp_path: Path, content: Row) -> TableMapping:
    return load_mapping(write_mapping(tmp_path / "shop.yaml", content))


def _advice(tmp_path: Path, content: Row, found: list[str] = FOUND) -> str:
    with pytest.raises(InvalidDataError) as caught:
        check_columns(_mapping(tmp_path, content), found, "orders.csv", "shop.yaml")
    return str(caught.value)


def test_a_missing_column_comes_with_advice(tmp_path: Path) -> None:
    """The message names the columns that lack, those that are there, the closest, and the mend."""
    text = _advice(tmp_path, with_columns(ORDERS, customer_id={"column": "customer id"}))
    assert text.startswith(
        "orders.csv: has no column 'order', which shop.yaml names at columns.order_id;"
        " the closest: 'Order No'"
    )
    assert "has no column 'customer id'" in text
    assert "its columns are: 'Order No', 'CustomerID', 'time'" in text


def test_the_advice_can_be_pasted(tmp_path: Path) -> None:
    """What the message says to write is YAML with the same keys and the closest columns."""
    mapping = with_columns(
        {
            **ORDERS,
            "attributes": {"country": "country"},
            "drop": [{"reason": "free", "column": "price", "at_most": 0}],
        },
        price={"column": "price", "unit": "cents"},
        category={"levels": ["time", "lnd", "sub"]},
    )
    text = _advice(tmp_path, mapping)
    snippet = yaml.safe_load(text.partition("write in shop.yaml:\n")[2])
    assert snippet["columns"] == {
        "order_id": "Order No",
        "customer_id": "CustomerID",
        "quantity": "QUANTITY",
        "price": {"column": "unit_price", "unit": "cents"},
        "category": {"levels": ["time", "Land", "COLUMN"]},
    }
    assert snippet["attributes"] == {"country": "COLUMN"}
    assert snippet["drop"] == [{"reason": "free", "column": "unit_price", "at_most": 0.0}]


def test_nothing_is_read_before_all_files_have_their_columns(tmp_path: Path) -> None:
    """One file of several that lacks a column ends the import, and the folder isn't even made."""
    mapping = write_mapping(tmp_path / "m.yaml", ORDERS)
    write_csv(tmp_path / "a" / "1.csv", [line()])
    write_csv(tmp_path / "a" / "2.csv", [{"order": "1"}])
    with pytest.raises(InvalidDataError, match=r"2\.csv: has no column 'customer'"):
        import_table(tmp_path / "a", mapping, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_columns_that_differ_by_case_alone_cant_be_told_apart(tmp_path: Path) -> None:
    """Such a pair is an error where the mapping names one of them, and none elsewhere."""
    mapping = _mapping(tmp_path, EVENTS)
    found = ["event", "timestamp", "visitor", "item", "a", "A"]
    check_columns(mapping, found, "e.csv", "m.yaml")
    with pytest.raises(InvalidDataError, match="'item' and 'Item' differ by case alone"):
        check_columns(mapping, [*found, "Item"], "e.csv", "m.yaml")


def test_a_table_may_have_very_many_columns(tmp_path: Path) -> None:
    """The list of columns in a message ends somewhere."""
    text = _advice(tmp_path, EVENTS, [f"c{n}" for n in range(1_000)])
    assert "'c39' and 960 more" in text
    assert len(text) < 2_000
    assert "it has no columns at all" in _advice(tmp_path, EVENTS, [])


def test_every_place_that_names_a_column_is_known(tmp_path: Path) -> None:
    """Columns, attributes and rules all count; constants don't."""
    mapping = {
        **EVENTS,
        "attributes": {"colour": "col", "shop": {"constant": "1"}},
        "drop": [{"reason": "test", "column": "flag", "missing": True}],
    }
    named = [(m.place, m.column) for m in mapped_columns(_mapping(tmp_path, mapping))]
    assert named == [
        ("columns.type", "event"),
        ("columns.time", "timestamp"),
        ("columns.anonymous_id", "visitor"),
        ("columns.item_id", "item"),
        ("attributes.colour", "col"),
        ("drop[0]", "flag"),
    ]


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=8, unique=True))
def test_the_closest_are_columns_of_the_file(name: str, found: list[str]) -> None:
    """Whatever names look like, at most three distinct ones of the file are offered."""
    near = closest(name, found)
    assert len(near) <= 3
    assert len(set(near)) == len(near)
    assert set(near) <= set(found)
