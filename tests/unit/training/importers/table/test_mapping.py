from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from micromoment.errors import InvalidDataError
from tests.support.tables import EVENTS, ORDERS, Row, with_columns, write_mapping
from training.importers.table.mapping import EventsMapping, OrdersMapping, load_mapping

EXAMPLES = Path(__file__).parents[5] / "examples" / "mappings"


def _message(tmp_path: Path, content: Row | str) -> str:
    path = write_mapping(tmp_path / "mapping.yaml", content)
    with pytest.raises(InvalidDataError) as caught:
        load_mapping(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def test_a_column_may_be_named_in_short(tmp_path: Path) -> None:
    """A name alone means a column with everything else by default."""
    short = load_mapping(write_mapping(tmp_path / "a.yaml", ORDERS))
    long = load_mapping(
        write_mapping(tmp_path / "b.yaml", with_columns(ORDERS, order_id={"column": "order"}))
    )
    assert isinstance(short, OrdersMapping)
    assert short == long
    assert isinstance(load_mapping(write_mapping(tmp_path / "c.yaml", EVENTS)), EventsMapping)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_mappings(path: Path) -> None:
    """Every mapping in examples/ can be loaded."""
    assert load_mapping(path).shape in {"orders", "events"}


def test_what_yaml_makes_of_words_is_undone(tmp_path: Path) -> None:
    """Unquoted yes, 1 and 2.5 mean the words that stand there, in values and in rules."""
    text = yaml.safe_dump(EVENTS).replace("view: item_view", "yes: item_view\n      1: purchase")
    text += "drop:\n- {reason: test, column: n, one_of: [1, 2.5]}\n"
    mapping = load_mapping(write_mapping(tmp_path / "m.yaml", text))
    assert isinstance(mapping, EventsMapping)
    assert mapping.columns.type.values["yes"] == "item_view"
    assert mapping.columns.type.values["1"] == "purchase"
    assert mapping.drop[0].one_of == ("1", "2.5")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "must hold keys and values, shape first"),
        ("[1, 2]", "must hold keys and values, shape first"),
        ("shape: lines", "shape: must be orders or events"),
        ("columns: {}", "shape: must be orders or events"),
        ("shape: orders", "columns: field required"),
        ("shape: orders\nshape: events", "isn't YAML: the key 'shape' stands twice"),
        ("shape: [", "isn't YAML"),
        ("shape: !!python/object:os.system {}", "isn't YAML"),
        ("? [a, b]\n: 1", "isn't YAML"),
        ({**ORDERS, "colums": {}}, "colums: no such key"),
        ({**ORDERS, "time_zone": "Moon"}, "time_zone: 'Moon' is no IANA time zone"),
        ({**ORDERS, "csv": {"encoding": "klingon"}}, "csv.encoding: 'klingon' is no encoding"),
        ({**ORDERS, "csv": {"delimiter": ";;"}}, "csv.delimiter: string should have at most 1"),
        ({**ORDERS, "refunds": {"order_id_matches": "("}}, "refunds.order_id_matches: '(' is no"),
        ({**ORDERS, "without_customer": "guess"}, "without_customer: input should be 'drop' or"),
        (with_columns(ORDERS, price=None), "columns.price: field required"),
        (with_columns(ORDERS, price={"column": "p", "unit": "cent"}), "columns.price.unit: input"),
        (with_columns(ORDERS, price=["p"]), "columns.price: must be a column's name, or keys such"),
        (with_columns(ORDERS, price={}), "columns.price: give either column or constant"),
        (
            with_columns(ORDERS, time={"column": "t", "unit": "s", "format": "%Y"}),
            "columns.time: give either format or unit",
        ),
        (
            with_columns(ORDERS, time={"column": "t", "format": "%Q%"}),
            "columns.time.format: '%Q%' is no format of times",
        ),
        (
            with_columns(ORDERS, category={"separator": ">"}),
            "columns.category: give either column (and perhaps separator) or levels",
        ),
        (
            with_columns(EVENTS, type={"column": "e", "values": {"view": "item_veiw"}}),
            "columns.type: 'item_veiw' is none of its words; the closest: item_view",
        ),
        (
            with_columns(EVENTS, device={"constant": "phone"}),
            "columns.device: 'phone' is none of its words",
        ),
        (with_columns(EVENTS, anonymous_id=None), "columns: one of anonymous_id and user_id is"),
        ({**EVENTS, "sessions": {"max_hours": 999}}, "sessions.max_hours: input should be less"),
        ({**EVENTS, "refunds": {}}, "refunds: no such key"),
        (
            {**ORDERS, "drop": [{"reason": "No!", "column": "a", "missing": True}]},
            "drop[0].reason: string should match",
        ),
        (
            {**ORDERS, "drop": [{"reason": "a", "column": "a", "at_most": 0, "at_least": 1}]},
            "drop[0]: give exactly one of matches",
        ),
        ({**ORDERS, "drop": [{"reason": "a", "column": "a"}]}, "drop[0]: give exactly one"),
    ],
)
def test_a_mistake_is_named_by_its_place(tmp_path: Path, content: Row | str, expected: str) -> None:
    """The message begins with the file and the YAML path, and says what is wrong there."""
    assert _message(tmp_path, content).startswith(expected)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Several mistakes are one message with a line each."""
    bad = with_columns({**ORDERS, "time_zone": "Moon"}, price=None, item_id={})
    places = [part.partition(":")[0].strip() for part in _message(tmp_path, bad).split("\n")]
    assert places == ["time_zone", "columns.item_id", "columns.price"]


def test_a_mapping_that_isnt_there_is_named(tmp_path: Path) -> None:
    """A missing file is an error with its name."""
    with pytest.raises(InvalidDataError, match=r"gone\.yaml: can't be read: No such file"):
        load_mapping(tmp_path / "gone.yaml")
