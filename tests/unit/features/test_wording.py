"""What features' values are in sentences."""

from __future__ import annotations

import re
from enum import IntEnum

import pytest

from micromoment.events.vocabulary import (
    DeviceType,
    EventGroup,
    JourneyStage,
    PageType,
    ReferrerMedium,
)
from micromoment.features import wording
from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.features.families import (
    checkout,
    context,
    pages,
    sequence,
)
from micromoment.features.spec import FeatureSpec

NAN = float("nan")
VALUES = (NAN, 0.0, 1e-6, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 11.0, 99.5, 1_001.0, 1e6, 3e9, 3e38)
NEGATIVE = (-0.1, -0.5, -1.0, -2.0, -1e6)
BELOW_ZERO = ("log-odds", "nats")


@pytest.mark.parametrize("spec", SESSION_FEATURES, ids=lambda spec: spec.name)
def test_every_value_of_every_feature_reads_well(spec: FeatureSpec) -> None:
    """Missing, small and huge values give a sentence without braces, NaN and "1 events"."""
    signed = spec.unit in BELOW_ZERO or spec.name.endswith("trend")
    for value in (*VALUES, *NEGATIVE) if signed else VALUES:
        sentence = spec.says(value, "USD")
        assert sentence[:1].isupper() or sentence[:1].isdigit(), sentence
        assert len(sentence) >= 5
        assert not sentence.endswith((".", " "))
        assert not re.search(
            r"[{}_]|\bnan\b|\binf|\de[+-]?\d|  |(?<!\w)-\d", sentence, re.IGNORECASE
        )
        assert not re.search(r"(?<![\d.,])1 (?!is\b)[a-z]{2,}s\b", sentence), sentence
        assert len(sentence) <= 120 or value > 1e9


@pytest.mark.parametrize("spec", SESSION_FEATURES, ids=lambda spec: spec.name)
def test_a_group_is_an_id(spec: FeatureSpec) -> None:
    """Groups are named by lower-case words."""
    assert re.fullmatch("[a-z]+(_[a-z]+)*", spec.group)


@pytest.mark.parametrize(
    ("words", "enum", "silent"),
    [
        (checkout._STAGES, JourneyStage, {JourneyStage.UNSPECIFIED}),
        (pages._PAGES, PageType, {PageType.UNSPECIFIED}),
        (context._DEVICES, DeviceType, {DeviceType.UNSPECIFIED}),
        (context._MEDIA, ReferrerMedium, {ReferrerMedium.UNSPECIFIED}),
        (sequence._STEPS, EventGroup, set()),
    ],
)
def test_every_code_has_a_word(
    words: dict[int, str], enum: type[IntEnum], silent: set[int]
) -> None:
    """A kind that joins the vocabulary needs a word here."""
    assert set(words) == set(enum) - silent


@pytest.mark.parametrize(
    ("feature", "value", "sentence"),
    [
        ("max_views_one_item", 3, "Third look at the same product"),
        ("max_views_one_item", 21, "21st look at the same product"),
        ("max_views_one_item", 112, "112th look at the same product"),
        ("cart_qty", 0, "Cart is empty"),
        ("cart_qty", 1, "Cart holds 1 piece"),
        ("cart_qty", 2, "Cart holds 2 pieces"),
        ("cart_value", 1089, "Cart is worth 1,089.00 USD"),
        ("cart_value", NAN, "Nothing with a price in the cart"),
        ("n_searches", 0, "No search so far"),
        ("user_recency_days", 12.2, "Came 12 days after the last order"),
        ("duration_s", 45, "Visit has lasted 45 s"),
        ("duration_s", 180, "Visit has lasted 3 min"),
        ("secs_since_last_add", 0, "Something was just put into the cart"),
        ("on_sale_share", 0.25, "25% of the products looked at are reduced"),
        ("repeat_view_ratio", 0, "No product looked at again"),
        ("hour_local", 14.58, "It is 14:34 where the visitor is"),
        ("weekday", 0, "It is Monday"),
        ("device", 2, "Comes with a mobile phone"),
        ("user_active_days_trend", -2,
         "Days with a visit: 2 fewer than in the 4 weeks before"),
        ("landing_page_llr", -1.5,
         "Landing on this page is very typical of visits without an order"),
        ("page_weight_sum", 0.6,
         "Pages seen so far are typical of buyers"),
        ("category_entropy", 1.0, "Looks spread over about 2.7 categories"),
    ],
)  # fmt: skip
def test_sentences(feature: str, value: float, sentence: str) -> None:
    """What a shop's employee reads."""
    spec = next(spec for spec in SESSION_FEATURES if spec.name == feature)
    assert spec.says(value, "USD") == sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5_399, "90 min"),
        (5_400, "2 hours"),
        (129_599, "36 hours"),
        (172_800, "2 days"),
        (70 * 86_400, "2 months"),
        (4 * 365.25 * 86_400, "4 years"),
    ],
)
def test_times_are_in_the_unit_that_reads_best(seconds: float, words: str) -> None:
    """Seconds, minutes, hours, days, months and years, never a single one of the larger."""
    assert wording.elapsed("{}")(seconds, "") == words


def test_money_without_a_currency_is_an_amount() -> None:
    """A shop that takes any currency has no name for its own."""
    assert wording.money("Costs {}")(2.5, "") == "Costs 2.50"
