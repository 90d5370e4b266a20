"""Audiences: rules in CEL over features and facts, checked when they are loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.errors import BundleError
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.audiences import (
    MAX_AUDIENCES,
    AudienceFile,
    Audiences,
    load_audiences,
    read_audiences,
)
from tests.support.segments import UNSURE, audience, audience_file, row_of, some_audiences

NAN = float("nan")
HOLDS = 1


def bits_of(rule: str, facts: Any = UNSURE, **values: float) -> int:  # noqa: ANN401 - facts or none
    """Evaluate one rule, with the limit `some` at 2.5."""
    file = audience_file(audience(0, "one", rule), some=2.5)
    return Audiences(file, FEATURE_NAMES).bits(row_of(**values), facts)


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        ("n_cart_adds >= 1.0", {"n_cart_adds": 1}, 1),
        ("n_cart_adds >= 1.0", {"n_cart_adds": 0}, 0),
        ("n_events > limits.some", {"n_events": 3}, 1),
        ("n_events > limits.some", {"n_events": 2}, 0),
        ("n_events > limits.some || true", {"n_events": 2}, 1),
        ("n_events * 2.0 - 1.0 == 5.0", {"n_events": 3}, 1),
        ("last_price > 0.0", {"last_price": NAN}, 0),
        ("last_price <= 0.0", {"last_price": NAN}, 0),
        ("last_price == last_price", {"last_price": NAN}, 0),
        ("!(last_price > 0.0)", {"last_price": NAN}, 1),
        ("device in [1.0, 3.0]", {"device": 3}, 1),
        ("true // always", {}, 1),
        ("false // never", {}, 0),
    ],
)
def test_rules_over_features(rule: str, values: dict[str, float], expected: int) -> None:
    """Comparisons, sums, lists and comments; a comparison with a missing value is false."""
    assert bits_of(rule, **values) == expected


def test_rules_over_facts() -> None:
    """Scores, stage, lifecycle, cluster and `converted` are to be had by their names."""
    facts = replace(
        UNSURE,
        conversion=0.25,
        abandonment=0.75,
        churn=0.5,
        stage="do",
        lifecycle="at_risk",
        cluster="bouncers",
    )
    for rule in (
        "conversion == 0.25",
        "abandonment == 0.75",
        "churn == 0.5",
        "stage == 'do'",
        'lifecycle == "at_risk"',
        "cluster in ['bouncers']",
        "!converted",
    ):
        assert bits_of(rule, facts) == HOLDS, rule
        assert bits_of(f"!({rule})", facts) == 0, rule
    assert bits_of("converted", replace(facts, converted=True)) == HOLDS


@pytest.mark.parametrize("name", ["conversion", "abandonment", "churn"])
def test_an_absent_score_compares_false(name: str) -> None:
    """A rule over a model that the bundle lacks does not hold, whichever way it compares."""
    assert bits_of(f"{name} >= 0.0 || {name} < 0.0") == 0


def test_the_stage_is_a_word_not_the_feature() -> None:
    """`stage` is the journey stage's name, whatever number the feature of this name has."""
    assert bits_of("stage == 'decide'", replace(UNSURE, stage="decide"), stage=4) == HOLDS


def test_a_limit_named_in_quotes_stays_text() -> None:
    """Only limits that are used as numbers are put in as such."""
    facts = replace(UNSURE, cluster="limits.some")
    assert bits_of("cluster == 'limits.some' && n_events > limits.some", facts, n_events=3) == HOLDS
    assert bits_of('cluster == "limits.some" // limits.some', facts) == HOLDS


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32))
def test_limits_keep_their_bits(limit: float, value: float) -> None:
    """Any finite limit, negative, tiny or huge, compares as the number that it is."""
    file = audience_file(
        audience(0, "least", "n_events >= limits.x"),
        audience(1, "less", "-n_events > -limits.x"),
        x=limit,
    )
    bits = Audiences(file, FEATURE_NAMES).bits(row_of(n_events=value), UNSURE)
    assert bits == (value >= limit) | (value < limit) << 1


def test_bits_are_those_of_the_file() -> None:
    """Each audience sets its own bit; the names come in the file's order, the specific first."""
    audiences = Audiences(some_audiences(), FEATURE_NAMES)
    facts = replace(UNSURE, lifecycle="new", cluster="many")
    bits = audiences.bits(row_of(cart_qty=2, n_item_views=3), facts)
    assert bits == 1 << 4 | 1 << 0 | 1 << 9
    names = [one.id for one in audiences.holding(bits)]
    assert names == ["full-carts", "deep-lookers", "newcomers"]
    assert [one.id for one in audiences.holding(1 << 9)] == ["newcomers"]


def test_bits_that_the_file_lacks_are_passed_over() -> None:
    """A visit that was settled under another bundle may carry audiences which this one lacks."""
    assert Audiences(some_audiences(), FEATURE_NAMES).holding(1 << 31 | 1 << 1) == ()


def test_all_bits_may_be_used() -> None:
    """As many audiences as the state has bits for hold at once."""
    records = [audience(bit, f"a{bit}", "true") for bit in range(MAX_AUDIENCES)]
    assert Audiences(audience_file(*records), FEATURE_NAMES).bits(row_of(), UNSURE) == 2**32 - 1


def test_no_audiences_are_none() -> None:
    """An empty file is a file."""
    assert Audiences(audience_file(), FEATURE_NAMES).bits(row_of(), UNSURE) == 0


def test_a_rule_that_fails_does_not_hold_and_spoils_no_other() -> None:
    """An index out of range or a division of integers by zero is no answer to the others."""
    file = audience_file(
        audience(0, "before", "n_events > limits.one"),
        audience(1, "broken", "[1.0][int(n_events)] > limits.one"),
        audience(2, "divided", "1 / int(n_page_views) == 1"),
        audience(3, "after", "n_events > 1.0"),
        one=1.0,
    )
    audiences = Audiences(file, FEATURE_NAMES)
    assert audiences.bits(row_of(n_events=5), UNSURE) == 0b1001
    assert audiences.bits(row_of(n_events=5, n_page_views=1), UNSURE) == 0b1101


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("n_events >= 1", "applied to '(double, int)'"),
        ("n_events >", "Syntax error"),
        ("shoe_size > 1.0", "undeclared reference to 'shoe_size'"),
        ("n_event > 1.0", "undeclared reference to 'n_event'; did you mean n_events?"),
        ("conversions > 0.1", "undeclared reference to 'conversions'; did you mean conversion?"),
        ("n_events > limits.none", "undeclared reference to 'limits"),
        ("n_events + 1.0", "its rule gives DOUBLE, not BOOL"),
        ("'yes'", "its rule gives STRING, not BOOL"),
        ("stage > 1.0", "applied to '(string, double)'"),
        ("true) || (true", "Syntax error"),
        ("true, false", "Syntax error"),
        ("// nothing", "Syntax error"),
    ],
)
def test_a_bad_rule_is_refused_by_name(rule: str, message: str) -> None:
    """Loading says which audience, in which bundle, and what CEL has against its rule."""
    file = audience_file(audience(0, "fine", "true"), audience(1, "at-fault", rule), some=1.0)
    content = file.model_dump_json().encode()
    with pytest.raises(BundleError) as caught:
        load_audiences("audiences.json", content, FEATURE_NAMES, "shop:1")
    text = str(caught.value)
    assert "shop:1" in text
    assert "audiences.json: audience at-fault: " in text
    assert message in text
    assert "\n" not in text


def change(path: tuple[Any, ...], value: object) -> bytes:
    """Give the file of three audiences with one value replaced."""
    content = some_audiences().model_dump(mode="json")
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (change(("audiences", 1, "bit"), 4), "two audiences have the bit 4"),
        (change(("audiences", 1, "id"), "full-carts"), "two audiences have the id full-carts"),
        (change(("audiences", 1, "bit"), 32), "audiences.deep-lookers.bit"),
        (change(("audiences", 1, "bit"), -1), "audiences.deep-lookers.bit"),
        (change(("audiences", 2, "rule"), ""), "audiences.newcomers.rule"),
        (change(("audiences", 2, "name"), ""), "audiences.newcomers.name"),
        (change(("audiences", 2, "id"), "New Comers"), "audiences.New Comers.id"),
        (change(("audiences", 2, "colour"), "red"), "audiences.newcomers.colour"),
        (change(("audiences", 2), {}), "audiences.2.bit"),
        (change(("limits", "pieces"), "two"), "limits.pieces"),
        (change(("limits", "No Name"), 1.0), "limits.No Name"),
        (b"[]", "audiences.json"),
        (b"{", "Invalid JSON"),
    ],
)
def test_a_bad_file_says_what_is_wrong(content: bytes, message: str) -> None:
    """The bundle, the file and the audience at fault are named."""
    with pytest.raises(BundleError) as caught:
        load_audiences("audiences.json", content, FEATURE_NAMES, "shop:1")
    assert "shop:1" in str(caught.value)
    assert "audiences.json" in str(caught.value)
    assert message in str(caught.value)


def test_a_feature_that_the_bundle_lacks_is_refused() -> None:
    """Rules see the bundle's own features, not all that the server knows."""
    file = audience_file(audience(0, "one", "n_events > 1.0"))
    with pytest.raises(ValueError, match=r"audience one: .*undeclared reference to 'n_events'"):
        Audiences(file, ("n_page_views",))


def test_a_file_survives_writing(tmp_path: Path) -> None:
    """What is written is read back the same."""
    path = tmp_path / "audiences.json"
    path.write_text(some_audiences().model_dump_json())
    assert read_audiences(path) == some_audiences()
    assert isinstance(read_audiences(path), AudienceFile)
