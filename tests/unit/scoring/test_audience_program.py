"""Audience rules as programs: the same answers as CEL's, or left to CEL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micromoment.events.vocabulary import JourneyStage
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.points import CONVERTED, N_KNOWN, STAGE
from micromoment.scoring.audiences import Audiences, PointFacts
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.judging import AUDIENCES, N_COUNTS, N_NUMBERS, judge_points
from micromoment.scoring.lifecycle import READS
from micromoment.scoring.rules import rules_of
from tests.support.segments import audience, audience_file, matrix_of, row_of

NAN: Final = float("nan")
NUMBERS: Final = ("n_events", "last_price", "churn")
VALUES: Final = st.sampled_from([0.0, 1.0, 2.0, -1.5, 0.1, NAN])


def literal(value: float) -> str:
    """Write a number as CEL does."""
    return f"({value})" if value < 0 else f"{value}"


CONSTANTS = st.sampled_from([0.0, 1.0, 2.0, -1.5, 0.5]).map(literal)
SUMS = st.recursive(
    st.sampled_from(NUMBERS) | CONSTANTS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/"]), inner)
        | inner.map("(-{})".format)
    ),
    max_leaves=4,
)
COMPARISONS = st.builds(
    "{} {} {}".format, SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS
)
WORDS = st.builds(
    "{} {} '{}'".format,
    st.sampled_from(["stage", "lifecycle"]),
    st.sampled_from(["==", "!="]),
    st.sampled_from(["do", "learn", "unspecified", "new", "nowhere"]),
)
LISTS = st.builds("n_events in [{}, {}]".format, CONSTANTS, CONSTANTS) | st.just(
    "stage in ['do', 'decide', 'elsewhere']"
)
RULES = st.recursive(
    COMPARISONS | WORDS | LISTS | st.sampled_from(["converted", "true", "false"]),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner)
        | inner.map("!({})".format)
        | st.builds("({} ? {} : {})".format, inner, inner, inner)
        | st.builds("(({}) == ({}))".format, inner, inner)
    ),
    max_leaves=6,
)


def judged(bundle: LoadedBundle, rules: Iterable[str], facts: PointFacts, **values: float) -> int:
    """Judge rules by program alone: the bits of those that hold."""
    file = audience_file(*(audience(bit, f"a{bit}", rule) for bit, rule in enumerate(rules)))
    ready = rules_of(replace(bundle, audiences=Audiences(file, FEATURE_NAMES)))
    assert ready.left == ()
    known = np.zeros((1, N_KNOWN), np.int64)
    known[0, CONVERTED] = facts.converted
    known[0, STAGE] = JourneyStage[facts.stage.upper()]
    counts = np.zeros((1, N_COUNTS), np.int64)
    churn = np.array([NAN if facts.churn is None else facts.churn])
    judge_points(
        1, matrix_of(row_of(**values)), np.zeros(1), churn, known, ready.compiled,
        np.zeros((1, N_NUMBERS)), counts,
    )  # fmt: skip
    return int(counts[0, AUDIENCES])


def by_cel(rules: Iterable[str], facts: PointFacts, **values: float) -> int:
    """Judge the same rules by CEL."""
    file = audience_file(*(audience(bit, f"a{bit}", rule) for bit, rule in enumerate(rules)))
    row = matrix_of(row_of(**values))[0].tolist()
    return Audiences(file, FEATURE_NAMES).bits(row, facts)


def facts_of(stage: str = "unspecified", lifecycle: str = "new", **known: object) -> PointFacts:
    """Give the facts of a point."""
    plain = PointFacts(None, None, None, False, stage, lifecycle, "")
    return replace(plain, **known)  # type: ignore[arg-type] # of the right types


# With these features the lifecycle is "new", without the first it is "unspecified".
NEW = dict.fromkeys(READS, 0.0)
UNKNOWN = NEW | {"user_prior_sessions": NAN}


@settings(max_examples=40)  # each makes and checks a new file of rules
@given(
    st.lists(RULES, min_size=4, max_size=12), VALUES, VALUES,
    st.none() | st.sampled_from([0.0, 0.25, 1.0]), st.booleans(),
    st.sampled_from(["do", "decide", "learn", "unspecified"]), st.booleans(),
)  # fmt: skip
def test_a_program_says_what_cel_says(
    tiny_bundle: LoadedBundle,
    rules: list[str],
    events: float,
    price: float,
    churn: float | None,
    converted: bool,
    stage: str,
    known: bool,
) -> None:
    """For rules of all that is translated, with missing values, infinities and words."""
    values = {"n_events": events, "last_price": price, **(NEW if known else UNKNOWN)}
    facts = facts_of(stage, "new" if known else "unspecified", churn=churn, converted=converted)
    assert judged(tiny_bundle, rules, facts, **values) == by_cel(rules, facts, **values)


def test_clusters_are_words(segmented: LoadedBundle) -> None:
    """By their ids; one that the bundle lacks is none."""
    rules = ["cluster == 'few'", "cluster in ['many', 'few']", "cluster != 'gone'", "cluster == ''"]
    assert judged(segmented, rules, facts_of(), n_events=2) == 0b0111


@pytest.mark.parametrize(
    "rule",
    [
        "stage.startsWith('d')",
        "size(stage) > 3",
        "stage == lifecycle",
        "stage < 'e'",
        "(converted ? stage : 'do') == 'do'",
        "int(n_events) % 2 == 0",
        "[1.0, 2.0][int(n_events)] > 1.0",
        "n_events > 0.0 && " * 3 + "stage.endsWith('o')",
    ],
)
def test_what_is_not_translated_is_left_to_cel(tiny_bundle: LoadedBundle, rule: str) -> None:
    """It keeps its bit, and rules beside it are translated all the same."""
    file = audience_file(audience(3, "plain", "n_events > 1.0"), audience(9, "left", rule))
    ready = rules_of(replace(tiny_bundle, audiences=Audiences(file, FEATURE_NAMES)))
    assert [bit for bit, _ in ready.left] == [9]
    alone = audience_file(audience(3, "plain", "n_events > 1.0"))
    same = rules_of(replace(tiny_bundle, audiences=Audiences(alone, FEATURE_NAMES)))
    assert ready.compiled.steps.tolist() == same.compiled.steps.tolist()


def test_rules_as_deep_as_cel_takes_them_fit(tiny_bundle: LoadedBundle) -> None:
    """Nested to the right, each level needs one more place on the stack."""
    deep = "n_events + (" * 28 + "n_events" + ")" * 28 + " >= 29.0"
    assert judged(tiny_bundle, [deep], facts_of(), n_events=1) == 1
    assert judged(tiny_bundle, [deep], facts_of(), n_events=0.5) == 0
