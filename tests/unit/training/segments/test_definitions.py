"""Audiences as people write them: what a bad file is told, and that the default one is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from micromoment.errors import InvalidDataError
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.audiences import MAX_AUDIENCES
from training.segments.definitions import DEFAULT_AUDIENCES, read_definitions

WANTED = {
    "checkout-abandoners",
    "at-risk-abandoners",
    "potential-buyers",
    "high-engagement-buyers",
    "high-engagement-shoppers",
    "bargain-hunters",
    "researchers",
    "loyal",
    "returning",
    "high-value",
}


def own_file(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a document
    """Make a shop's own file with some parts replaced."""
    first = {"id": "big-carts", "bit": 3, "name": "Big carts", "meaning": "m", "rule": "true"}
    content = {
        "limits": {"big": {"feature": "cart_value", "quantile": 0.9, "default": 100.0}},
        "audiences": [first | changes.pop("audience", {})],
    }
    return content | changes


def read(tmp_path: Path, content: object) -> Any:  # noqa: ANN401 - a model
    """Write a file and read it."""
    path = tmp_path / "own.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_definitions(path, FEATURE_NAMES)


def test_the_default_file_has_what_the_domain_asks_for() -> None:
    """Every audience by name, each explained, and bits within the state's."""
    definitions = read_definitions(DEFAULT_AUDIENCES, FEATURE_NAMES)
    assert {one.id for one in definitions.audiences} >= WANTED
    assert all(len(one.meaning) > 20 for one in definitions.audiences)
    assert len(definitions.audiences) <= MAX_AUDIENCES
    assert definitions.audiences[-1].id == "returning"  # the least specific


def test_a_shop_writes_its_own(tmp_path: Path) -> None:
    """A rule may use a limit that the same file names."""
    found = read(tmp_path, own_file(audience={"rule": "cart_value >= limits.big"}))
    assert found.audiences[0].id == "big-carts"
    assert found.limits["big"].quantile == 0.9
    assert found.with_limits({"big": 7.0}).limits == {"big": 7.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (own_file(audience={"rule": "cart_value >= limits.huge"}), "audience big-carts: "),
        (own_file(audience={"rule": "cart_value >= 1"}), "'(double, int)'"),
        (own_file(audience={"rule": "cart_value"}), "gives DOUBLE, not BOOL"),
        (own_file(audience={"bit": 40}), "audiences.big-carts.bit"),
        (own_file(audience={"colour": "red"}), "audiences.big-carts.colour"),
        (own_file(limits={"big": {"quantile": 0.5, "default": 1.0}}), "limits.big"),
        (
            own_file(limits={"big": {"feature": "shoe", "quantile": 0.5, "default": 1.0}}),
            "limit big: there is no feature shoe",
        ),
        (
            own_file(limits={"b": {"outcome": "conversion", "among": "1.0", "default": 0.1}}),
            "limit b, among: its rule gives DOUBLE",
        ),
        (
            own_file(limits={"b": {"outcome": "churn", "default": 0.1}}),
            "limits.b",
        ),
        (
            own_file(audiences=[own_file()["audiences"][0], own_file()["audiences"][0]]),
            "two audiences have the bit 3",
        ),
        (own_file(retired=[{"bit": 3, "id": "gone"}]), "big-carts has the bit 3 of a retired one"),
        (own_file(retired=[{"bit": 9, "id": "big-carts"}]), "big-carts has the id of a retired"),
        ({"limits": {}}, "audiences: Field required"),
        ("a: [", "is no YAML"),
        ("", "own.yaml"),
        ("- 1", "own.yaml"),
    ],
)
def test_a_bad_file_is_told_what_is_wrong(tmp_path: Path, content: object, message: str) -> None:
    """The file and the audience or limit at fault are named before any work begins."""
    with pytest.raises(InvalidDataError) as caught:
        read(tmp_path, content)
    assert "own.yaml" in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """It can't be read, and that is what is said."""
    with pytest.raises(InvalidDataError, match=r"none\.yaml: can't be read"):
        read_definitions(tmp_path / "none.yaml", FEATURE_NAMES)
